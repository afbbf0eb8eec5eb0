// All verdicts: filtered, page by page.
import { get, withQuery } from "./api.js";
import { byId, h, setText } from "./dom.js";
import { Panel, coverageNote, sayError } from "./panel.js";
import { Source } from "./source.js";
import { verdictList } from "./verdict.js";
import { RULE_IDS, ruleName } from "./words.js";

const PAGE = 50;

export class Verdicts {
  constructor() {
    this.form = byId("verdict-filters");
    this.more = byId("verdicts-more");
    this.form.elements.rule.append(...RULE_IDS.map((id) => h("option", { value: id }, ruleName(id))));
    this.older = [];
    this.cursor = null;
    this.panel = new Panel(byId("panel-verdicts"), new Source(() => this.#path()), {
      draw: (body, data) => this.#draw(body, data),
      empty: (data) => (data.verdicts.length ? null : "No verdict matches."),
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#again();
    });
    this.form.addEventListener("reset", () => setTimeout(() => this.#again()));
    this.more.addEventListener("click", () => void this.#older());
  }

  get panels() {
    return [this.panel];
  }

  /** Take filters from the address: `#/verdicts?rule=...`. */
  open(query) {
    if (![...query.keys()].length) return;
    this.form.reset();
    for (const [name, value] of query) {
      const field = this.form.elements.namedItem(name);
      if (field) field.value = value;
    }
    this.#restart();
  }

  async refresh(signal) {
    // Who has gone on to older pages, or reads further down, is not moved by newer ones.
    if (this.older.length || (scrollY > 200 && this.panel.source.data)) {
      setText(this.panel.noteElement, "Not updated while older ones are shown");
      return;
    }
    await this.panel.refresh(signal);
  }

  clear() {
    this.#restart();
  }

  #restart() {
    this.older = [];
    this.panel.source.clear();
    this.panel.show();
    this.more.hidden = true;
  }

  #again() {
    this.#restart();
    void this.panel.refresh();
  }

  #path(cursor = "") {
    const values = Object.fromEntries(new FormData(this.form));
    for (const name of ["since", "until"]) {
      // The field speaks of the viewer's zone.
      if (values[name]) values[name] = new Date(values[name]).toISOString();
    }
    values.region = values.region.trim().toUpperCase();
    values.user_id = values.user_id.trim();
    return withQuery("/compliance/events", { ...values, limit: PAGE, cursor });
  }

  #draw(body, data) {
    verdictList(body, [...data.verdicts, ...this.older]);
    if (!this.older.length) this.cursor = data.next_cursor;
    this.more.hidden = this.cursor === null;
  }

  async #older() {
    this.more.disabled = true;
    try {
      const page = await get(this.#path(this.cursor));
      this.cursor = page.next_cursor;
      this.older.push(...page.verdicts);
      this.#draw(this.panel.body, this.panel.source.data);
      setText(this.panel.noteElement, coverageNote(page));
    } catch (error) {
      setText(this.panel.noteElement, sayError(error));
    } finally {
      this.more.disabled = false;
    }
  }
}
