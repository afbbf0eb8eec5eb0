// What waits, how records ended, and for the admin: pause, resume, one, drain, and the audit trail.
import { ask } from "./api.js";
import { confirmed } from "./details.js";
import { bar, byId, h, number, setText, table } from "./dom.js";
import { NOTHING, share, time, whole } from "./format.js";
import { pausedBy, withheldIn } from "./overview.js";
import { Panel, coverageNote, logLine, sayError } from "./panel.js";
import { session } from "./session.js";
import { Source } from "./source.js";

const DRAIN_S = 60;
const REASONS = {
  too_large: "too large",
  not_json: "not JSON",
  schema_violation: "not as the schema says",
  future_timestamp: "dated in the future",
  duplicate_id_conflict: "known id, other content",
  processing_error: "our own code failed",
  unreadable_batch: "batches that cannot be read",
};

export class Operation {
  /** @param {Source} summary @param {() => void} changed is called when an action was done */
  constructor(summary, changed) {
    this.summary = summary;
    this.changed = changed;
    this.isBusy = false;
    this.shared = [new Panel(byId("panel-lag"), summary, { draw: lag }), new Panel(byId("panel-counts"), summary, { draw: counts })];
    this.audit = new Panel(byId("panel-audit"), new Source(() => (session.isAdmin ? "/audit?limit=25" : null)), {
      draw: audit,
      empty: (data) => (data.entries.length ? null : "Nothing was noted yet."),
    });
    this.buttons = [...byId("process-buttons").children];
    for (const button of this.buttons) button.addEventListener("click", () => void this.#act(button.dataset.action));
  }

  get panels() {
    return [...this.shared, this.audit];
  }

  open() {
    byId("process-buttons").hidden = !session.isAdmin;
    byId("panel-audit").hidden = !session.isAdmin;
  }

  async refresh(signal) {
    if (session.isAdmin) await this.audit.refresh(signal);
  }

  show() {
    for (const panel of this.shared) panel.show();
    this.#enable();
  }

  clear() {
    this.audit.source.clear();
    this.audit.show();
    byId("process-log").replaceChildren();
  }

  #enable() {
    const { data, error } = this.summary;
    const known = data !== null && !error && !this.summary.isStale;
    const paused = known && data.paused;
    setText(
      byId("process-state"),
      !known ? "Not known now." : withCoverage(`${paused ? `Paused${pausedBy(data)}` : `Consuming on ${whole(data.workers)} worker${data.workers === 1 ? "" : "s"}`}. ${whole(data.total_lag)} records wait${heldUp(withheldIn(data))}.`, data),
    );
    setText(
      byId("process-hint"),
      !session.isAdmin ? "Pausing and draining is for the role admin." : paused ? "Judge one steps through what waits; Resume goes on." : "Drain waits until what waits now is worked off. Judge one works while paused.",
    );
    const can = { pause: known && !paused, resume: paused, one: paused, drain: known && !paused };
    for (const button of this.buttons) button.disabled = this.isBusy || !can[button.dataset.action];
  }

  async #act(action) {
    if (action === "pause" && !(await confirmed("Pause consuming?", "No worker judges anything until you resume. Events wait in Kafka; none are lost.", "Pause"))) return;
    this.isBusy = true;
    this.#enable();
    const began = { pause: "Pausing", resume: "Resuming", one: "Judging one", drain: `Draining, for at most ${DRAIN_S} s` }[action];
    const entry = logLine(byId("process-log"), began);
    try {
      const path = action === "drain" ? `/process/drain?timeout=${DRAIN_S}` : `/process/${action}`;
      const answer = await ask("POST", path, { timeoutMs: (DRAIN_S + 10) * 1000 });
      setText(entry, outcome(action, answer));
      entry.dataset.kind = "good";
    } catch (error) {
      setText(entry, sayError(error));
      entry.dataset.kind = "error";
    }
    this.isBusy = false;
    this.changed();
    this.#enable();
  }
}

/** A sentence, and what it leaves out where partitions are missing. */
function withCoverage(text, answer) {
  const note = coverageNote(answer);
  return note ? `${text} ${note}.` : text;
}

function outcome(action, answer) {
  if (action === "pause") return withCoverage(`Paused on ${whole(answer.workers)} worker${answer.workers === 1 ? "" : "s"}.`, answer);
  if (action === "resume") return withCoverage("Consuming again.", answer);
  if (action === "one") return answer.judged ? `Judged one: ${answer.topic}, partition ${answer.partition}, offset ${whole(answer.offset)}.` : "No record waited.";
  const worked = `${whole(answer.count)} records worked off in ${answer.seconds.toFixed(1)} s`;
  if (answer.drained) return `Drained: ${worked}.`;
  return withCoverage(`Not drained${answer.remaining ? " in time" : ""}: ${worked}, ${whole(answer.remaining)} remain${heldUp(answer.behind_open_transactions)}.`, answer);
}

/** The rest of a sentence about records that wait. */
const heldUp = (count) => (count ? `, ${whole(count)} of them behind an open transaction` : "");

/** The lag of `topic-3` as a row for partition 3 with a column for each topic. */
function lag(body, data) {
  const topics = new Set();
  const partitions = new Map();
  for (const [name, waiting] of Object.entries(data.lag)) {
    const cut = name.lastIndexOf("-");
    const [topic, partition] = [name.slice(0, cut), Number(name.slice(cut + 1))];
    topics.add(topic);
    if (!partitions.has(partition)) partitions.set(partition, {});
    partitions.get(partition)[topic] = waiting;
  }
  const columns = [...topics].sort();
  const sum = (row) => Object.values(row).reduce((total, waiting) => total + waiting, 0);
  const most = Math.max(1, ...[...partitions.values()].map(sum));
  const rows = [...partitions]
    .sort(([a], [b]) => a - b)
    .map(([partition, row]) => [number(partition), ...columns.map((topic) => number(topic in row ? whole(row[topic]) : NOTHING)), bar(sum(row) / most)]);
  body.replaceChildren(
    h("p.small.soft", `${data.coverage.answered} of ${data.coverage.partitions} partitions answer, on ${whole(data.workers)} worker${data.workers === 1 ? "" : "s"}.`),
    h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Waiting by partition" }, h("table.plain", table([number("Partition"), ...columns.map(number), ""], rows, "Records waiting by partition and topic"))),
  );
}

function counts(body, data) {
  const part = (value) => number(share(data.events ? value / data.events : NaN));
  const rows = [
    ["Judged", number(whole(data.judged)), part(data.judged)],
    ["of these late", number(whole(data.late)), part(data.late)],
    ["of these flagged", number(whole(data.flagged)), part(data.flagged)],
    ["Duplicate", number(whole(data.duplicate)), part(data.duplicate)],
    ["Failed", number(whole(data.failed)), part(data.failed)],
    ...Object.entries(data.failed_by_reason).map(([name, value]) => [h("span.sub", { title: name }, REASONS[name] ?? name), number(whole(value)), part(value)]),
    [h("b", "Read"), number(h("b", whole(data.events))), number("")],
    ["Privacy requests", number(whole(data.requests)), number("")],
    ["Forwarded to another partition", number(whole(data.rekeyed)), number("")],
  ];
  body.replaceChildren(h("table.plain", table(["Ending", number("Records"), number("Of read")], rows, "How records ended")));
}

function audit(body, data) {
  const rows = data.entries.map((entry) => [time(entry.at), entry.who, entry.action, entry.subject ?? NOTHING, entry.allowed ? "yes" : h("b", "refused")]);
  body.replaceChildren(h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Audit trail" }, h("table.plain", table(["When", "Who", "What", "Whom", "Allowed"], rows, "Audit trail, newest first"))));
}
