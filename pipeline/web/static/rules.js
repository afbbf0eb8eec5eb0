// The rule set in force; the admin checks and publishes another one.
import { ask } from "./api.js";
import { Backtest } from "./backtest.js";
import { confirmed } from "./details.js";
import { byId, h, number, table } from "./dom.js";
import { driftPanel } from "./drift.js";
import { NOTHING, time, whole } from "./format.js";
import { lines } from "./guidance.js";
import { inForce } from "./inforce.js";
import { modelPanel } from "./model.js";
import { Panel } from "./panel.js";
import { session } from "./session.js";
import { Source } from "./source.js";
import { ruleName } from "./words.js";

const MODES = { active: "judges and publishes", shadow: "judges and counts, publishes nothing", off: "does nothing" };

export class Rules {
  constructor() {
    this.form = byId("rules-form");
    this.text = byId("rules-text");
    this.publish = byId("rules-publish");
    this.result = byId("rules-result");
    this.checked = null;
    this.guides = new Map();
    this.panel = new Panel(byId("panel-ruleset"), new Source(() => "/rules"), { draw: (body, data) => this.#draw(body, data) });
    this.model = modelPanel();
    this.drift = driftPanel();
    this.backtest = new Backtest();
    this.text.addEventListener("input", () => this.#mayPublish(null));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send(event.submitter?.value === "publish");
    });
  }

  get panels() {
    return [this.panel, this.model, this.drift];
  }

  open() {
    byId("rules-editor").hidden = !session.isAdmin;
    this.backtest.open();
  }

  async refresh(signal) {
    await Promise.all(this.panels.map((panel) => panel.refresh(signal)));
  }

  clear() {
    this.drawn = null;
    for (const panel of this.panels) {
      panel.source.clear();
      panel.show();
    }
    this.text.value = "";
    this.result.replaceChildren();
    this.backtest.clear();
    this.#mayPublish(null);
  }

  #draw(body, data) {
    const text = JSON.stringify(data);
    if (text === this.drawn) return;
    this.drawn = text;
    if (!this.text.value) this.text.value = JSON.stringify({ version: data.version, rules: data.rules }, null, 2);
    const rows = Object.entries(data.rules).map(([id, { mode, ...parameters }]) => [
      [h("b", ruleName(id)), " ", h("code.soft", id), this.#whatToDo(id, data.guidance[id])],
      h("span.chip", { title: MODES[mode] ?? "" }, mode ?? "active"),
      number(data.findings ? whole(data.findings[id] ?? 0) : NOTHING),
      number(data.shadow[id] ? whole(data.shadow[id]) : ""),
      h("span.chips", Object.entries(parameters).map(([name, value]) => h("span.chip", `${name.replaceAll("_", " ")} `, h("b", typeof value === "object" ? JSON.stringify(value) : String(value))))),
    ]);
    const scrolled = body.querySelector(".scroll")?.scrollTop ?? 0;
    body.replaceChildren(
      h("p", "Version ", h("code", data.version), data.published_at ? [", published ", time(data.published_at, { full: true })] : ", from the worker's settings", ". Every verdict names the version that judged it."),
      inForce(data.version, data.in_force),
      data.refused ? h("p.message", { role: "alert" }, "The rule set published ", time(data.refused.published_at, { full: true }), ` was refused, so this one stays: ${data.refused.reason}`) : "",
      h("div.card", h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Rules and parameters" }, h("table.plain.rules", table(["Rule", "Mode", number("Findings"), number("In shadow"), "Parameters"], rows, "The rules in force")))),
    );
    body.querySelector(".scroll").scrollTop = scrolled;
  }

  /** A rule's guidance, folded. It is made once: one that was opened stays open when the counts are drawn anew. */
  #whatToDo(id, one) {
    if (!this.guides.has(id)) this.guides.set(id, h("details", h("summary.small", "What to do"), lines(one)));
    return this.guides.get(id);
  }

  /** Only the text that was checked can be published. */
  #mayPublish(text) {
    this.checked = text;
    this.publish.disabled = text === null;
  }

  async #send(isPublishing) {
    const text = this.text.value;
    let document;
    try {
      document = JSON.parse(text);
    } catch (error) {
      this.#say("error", `This is not JSON: ${error.message}`);
      return;
    }
    if (isPublishing) {
      if (text !== this.checked) return;
      const yes = await confirmed(`Publish rule set ${document.version}?`, "All workers judge by it from their next batch on.", "Publish");
      if (!yes) return;
    }
    try {
      const answer = await ask("PUT", isPublishing ? "/rules" : "/rules?dry_run=true", { json: text });
      const changes = answer.changes.length ? h("ul", answer.changes.map((change) => h("li", change))) : h("p", "It changes nothing.");
      this.#say("good", isPublishing ? `Published ${answer.version}.` : `Valid. Publishing ${answer.version} would change:`, changes);
      this.#mayPublish(isPublishing ? null : text);
    } catch (error) {
      this.#mayPublish(null);
      this.#say("error", error.message, error.errors?.length ? h("ul", error.errors.map((one) => h("li", h("code", one.path), " ", one.message))) : null);
    }
  }

  #say(kind, message, ...more) {
    this.result.replaceChildren(h("p.message", { data: { kind } }, message), ...more.filter(Boolean));
  }
}
