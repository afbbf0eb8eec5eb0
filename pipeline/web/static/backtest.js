// A backtest of the rule set in the editor: what it would have said of the past. A worker runs it. The page looks every two
// seconds, because each look is an entry in the audit trail.
import { ask } from "./api.js";
import { byId, h, number, setText, table } from "./dom.js";
import { NOTHING, share, time, whole } from "./format.js";
import { level, ruleName } from "./words.js";

const LOOK_MS = 2000;
const DAY_MS = 24 * 3600 * 1000;
const ENDED = { failed: "The backtest failed", cancelled: "The backtest was cancelled" };

export class Backtest {
  constructor() {
    this.from = byId("backtest-from");
    this.to = byId("backtest-to");
    this.start = byId("backtest-start");
    this.stop = byId("backtest-cancel");
    this.state = byId("backtest-state");
    this.result = byId("backtest-result");
    this.id = null;
    this.start.addEventListener("click", () => void this.#begin());
    this.stop.addEventListener("click", () => void this.#follow("DELETE"));
  }

  /** The default range is the last 24 hours, in the viewer's zone like every field of time. */
  open() {
    if (!this.from.value) this.from.value = local(Date.now() - DAY_MS);
  }

  clear() {
    this.#shows(null);
    this.from.value = this.to.value = "";
    setText(this.state, "");
    this.result.replaceChildren();
  }

  async #begin() {
    this.result.replaceChildren();
    let document;
    try {
      document = JSON.parse(byId("rules-text").value);
    } catch (error) {
      setText(this.state, `This is not JSON: ${error.message}`);
      return;
    }
    if (!this.from.value) {
      setText(this.state, "Choose the time where it begins.");
      return;
    }
    const instant = (field) => (field.value ? new Date(field.value).toISOString() : null);
    this.start.disabled = true;
    try {
      const { id } = await ask("POST", "/backtests", { json: { document, from: instant(this.from), to: instant(this.to) } });
      this.#shows(id);
      await this.#follow("GET");
    } catch (error) {
      this.#shows(null);
      setText(this.state, error.message);
    }
  }

  /** Look, or cancel, and look again later while it has not ended. */
  async #follow(method) {
    const id = this.id;
    let found;
    try {
      found = await ask(method, `/backtests/${encodeURIComponent(id)}`);
    } catch (error) {
      if (id !== this.id) return;
      setText(this.state, error.message);
      // The backtest goes on while its worker cannot be asked.
      if (error.kind === "unreachable" || error.kind === "unavailable") this.#later(id);
      else this.#shows(null);
      return;
    }
    if (id !== this.id) return;
    const { state, progress, message, result } = found;
    if (state === "queued") setText(this.state, "Queued: it waits for another backtest.");
    else if (state === "running") setText(this.state, progress ? `Running: ${share(progress.read / progress.total)} of ${whole(progress.total)} records` : "Running");
    else {
      this.#shows(null);
      setText(this.state, ENDED[state] ? `${ENDED[state]}${message ? `: ${message}` : "."}` : "");
      if (result) this.result.replaceChildren(...shown(result, found.version));
      return;
    }
    this.#later(id);
  }

  #later(id) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => id === this.id && void this.#follow("GET"), LOOK_MS);
  }

  /** Which backtest the buttons are about; null: none runs. */
  #shows(id) {
    clearTimeout(this.timer);
    this.id = id;
    this.start.disabled = id !== null;
    this.stop.hidden = id === null;
  }
}

/** A time for a field of type datetime-local, to the minute. */
function local(milliseconds) {
  return new Date(milliseconds - new Date(milliseconds).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function shown(result, version) {
  const rules = Object.entries(result.rules).map(([id, counts]) => [ruleName(id), ...["added", "removed", "changed"].map((kind) => number(whole(counts[kind] ?? 0)))]);
  const levels = Object.entries(result.levels).map(([change, count]) => [change, number(whole(count))]);
  const examples = Object.entries(result.examples).flatMap(([kind, pairs]) => pairs.map(({ a, b }) => [kind, (b ?? a).subject.id, time((b ?? a).event_time, { full: true }), ...[a, b].map(verdict)]));
  const users = Object.entries(result.users);
  return [
    h("p.message", { data: { kind: "good" } }, `Rule set ${version} on ${whole(result.judged)} events: ${whole(result.added)} verdicts are added, ${whole(result.removed)} removed, ${whole(result.changed)} changed; ${whole(result.same)} stay the same.`),
    part("By rule", ["Rule", number("Added"), number("Removed"), number("Changed")], rules),
    part("By level", ["Level", number("Verdicts")], levels),
    part("Examples", ["What", "User", "Time", "In force then", "New"], examples),
    users.length ? h("p.small", h("span.soft", "Users most concerned "), h("span.chips", users.map(([user, count]) => h("span.chip", `${user.replace(/^user:/, "")} `, h("b", whole(count)))))) : null,
  ].filter(Boolean);
}

function part(caption, headings, rows) {
  if (!rows.length) return null;
  return h("section", h("h3", caption), h("div.scroll", { tabindex: "0", role: "region", "aria-label": caption }, h("table.plain.small", table(headings, rows, caption))));
}

function verdict(one) {
  return one ? [level(one.risk_level), " ", one.findings.map((finding) => ruleName(finding.rule_id)).join(", ")] : NOTHING;
}
