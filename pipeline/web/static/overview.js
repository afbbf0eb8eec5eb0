// The first view: is it keeping up, what is wrong, what came last.
import { Donut, TimeLine } from "./charts.js";
import { bar, byId, h, number, setText, table } from "./dom.js";
import { NOTHING, clock, countryOf, duration, rate, share, time, whole } from "./format.js";
import { ids, userLink } from "./ids.js";
import { Panel, coverageNote, sayError } from "./panel.js";
import { Source } from "./source.js";
import { openDevice, openRegion, openTitle } from "./subject.js";
import { verdictList } from "./verdict.js";
import { LEVELS, level, ruleName } from "./words.js";

const SHOWN = 8;
const BEHIND_S = 10;
const HOLD_MS = 30_000;
/** Since when records wait and none are judged, and nothing else explains it; null otherwise. */
let stillSince = null;
const FLAGGED = LEVELS.filter((name) => name !== "NONE");

/** By whom, since when and why consuming is paused; empty where that is not known. */
export function pausedBy({ pause }) {
  return pause ? ` by ${pause.by} since ${time(pause.at)}${pause.reason ? ` (${pause.reason})` : ""}` : "";
}

/**
 * What the figures say about keeping up: {state, title, why}.
 * Behind is who would need more than 10 s at the present rate for what waits: batches in flight are no lag.
 */
export function standing(summary, at = Date.now()) {
  const waiting = summary.total_lag;
  const now = summary.events_per_second;
  const seconds = now > 0 ? waiting / now : waiting > 0 ? Infinity : 0;
  const waits = waiting ? `${whole(waiting)} waiting` : "nothing waiting";
  const withheld = withheldIn(summary);
  const isHeldUp = withheld > 0 && withheld === waiting;
  // The time of a pause does not count: after it the workers need some seconds for their first batch.
  const isStill = seconds === Infinity && !summary.paused && !summary.coverage.missing.length && !isHeldUp;
  stillSince = isStill ? (stillSince ?? at) : null;
  const flow = `${rate(now)} events a second, ${waits}`;
  if (summary.paused) return { state: "paused", title: "Paused", why: [`Consuming is paused${pausedBy(summary)}; ${waits}.`, sentence(coverageNote(summary))].join(" ").trim() };
  if (summary.coverage.missing.length) {
    const { answered, partitions, missing } = summary.coverage;
    return { state: "partly", title: "Partly answering", why: `${answered} of ${partitions} partitions answer (${missing.join(", ")} missing): being moved or recovered. The figures lack the others.` };
  }
  if (isHeldUp) return { state: "behind", title: "Held up", why: `${whole(waiting)} records wait behind an open transaction of a producer; they are judged when it ends.` };
  if (isStill && at - stillSince < HOLD_MS) return { state: "idle", title: "Waiting", why: `${whole(waiting)} records wait; none were judged in the last 15 seconds.` };
  if (isStill) return { state: "behind", title: "Not moving", why: `${whole(waiting)} records wait, and none were judged for ${duration((at - stillSince) / 1000)} or more.` };
  if (seconds > BEHIND_S) return { state: "behind", title: "Behind", why: `${flow}: ${duration(seconds)} of work at this rate.` };
  if (now === 0) return { state: "idle", title: "Idle", why: "No new events, nothing waiting." };
  return { state: "good", title: "Keeping up", why: `${flow}.` };
}

export class Overview {
  /** @param {Source} summary shared with the other views @param {import("./history.js").History} history */
  constructor(summary, history) {
    this.summary = summary;
    this.history = history;
    this.events = new TimeLine(byId("chart-events"), "Events a second", "accent");
    this.flags = new TimeLine(byId("chart-flags"), "Flagged a second", "high");
    this.donut = new Donut(byId("chart-levels"), FLAGGED);
    const shared = (id, how) => new Panel(byId(id), summary, how);
    const own = (id, path, how) => new Panel(byId(id), new Source(() => path), how);
    this.shared = [
      shared("panel-flow", { draw: () => this.#flow() }),
      shared("panel-levels", { draw: (_, data) => this.#levels(data) }),
    ];
    this.own = [
      own("panel-rules", "/compliance/summary", {
        draw: (body, data) => topRules(body, data.by_rule),
        empty: (data) => (Object.keys(data.by_rule).length ? null : "No rule has fired yet."),
      }),
      own("panel-regions", "/compliance/regions", {
        draw: regions,
        empty: (data) => (data.regions.length ? null : "No flagged events yet."),
      }),
      own("panel-content", `/stats/content?limit=${SHOWN}`, {
        draw: titles,
        empty: (data) => (data.contents.length ? null : "No playback yet."),
      }),
      own("panel-latest", `/compliance/events?limit=${SHOWN}`, {
        draw: latest,
        empty: (data) => (data.verdicts.length ? null : "No verdicts yet: nothing was flagged."),
      }),
      own("panel-alerts", `/alerts?limit=${SHOWN}`, {
        draw: alerts,
        empty: (data) => (data.alerts.length ? null : "No alerts."),
      }),
    ];
    this.panels = [...this.shared, ...this.own];
    const verdicts = byId("panel-latest");
    verdicts.addEventListener("pointerleave", () => this.panels.find((panel) => panel.element === verdicts).show());
  }

  /** Ask for what only this view shows, side by side. */
  async refresh(signal) {
    await Promise.all(this.own.map((panel) => panel.refresh(signal)));
  }

  /** Draw the summary, which the page asks for. */
  show() {
    for (const panel of this.shared) panel.show();
    this.#figures();
  }

  clear() {
    for (const panel of this.panels) {
      panel.source.clear();
      panel.show();
    }
  }

  #figures() {
    const { data, error } = this.summary;
    const headline = byId("headline");
    byId("figures").hidden = data === null;
    if (data === null) {
      headline.dataset.state = error ? "unknown" : "loading";
      setText(byId("overview-title"), error ? "No figures" : "Asking the worker");
      setText(byId("overview-why"), error ? sayError(error) : "\u00a0");
      return;
    }
    const figures = [
      ["Events a second", rate(data.events_per_second), "all workers together"],
      ["Waiting", whole(data.total_lag), waitingIn(data)],
      ["Records read", whole(data.events), `${whole(data.failed)} failed`],
      ["Flagged", whole(data.flagged), `${share(data.judged ? data.flagged / data.judged : NaN)} of the judged`],
      ["Playback errors", share(data.error_rate ?? NaN), data.error_rate === null ? "no playback yet" : "of playback events"],
      ["Watched", duration(data.play_time_seconds), "by all viewers"],
      ["Coverage", `${data.coverage.answered} / ${data.coverage.partitions}`, `partitions · ${whole(data.workers)} worker${data.workers === 1 ? "" : "s"}`],
    ];
    const list = byId("figures");
    if (list.children.length !== figures.length) list.replaceChildren(...figures.map(([name]) => h("div", h("dt", name), h("dd.value"), h("dd.soft.small"))));
    figures.forEach(([, value, more], index) => {
      setText(list.children[index].children[1], value);
      setText(list.children[index].children[2], more);
    });
    this.age();
  }

  /** The headline follows the age of the figures: old ones are never shown as how it stands. */
  age() {
    for (const panel of this.panels) panel.age();
    const { data, error, receivedAt } = this.summary;
    if (data === null) return;
    const stale = this.summary.isStale;
    const headline = byId("headline");
    const unknown = stale || error?.kind === "unreachable";
    const now = unknown
      ? { state: "unknown", title: "Not known", why: `${error ? sayError(error) : "No news."} The figures below are of ${clock(receivedAt)}.` }
      : error
        ? { state: "partly", title: error.kind === "unavailable" ? "Recovering" : "Trouble", why: `${sayError(error)} The figures below are of ${clock(receivedAt)}.` }
        : standing(data);
    headline.dataset.state = now.state;
    byId("figures").classList.toggle("stale", unknown);
    setText(byId("overview-title"), now.title);
    setText(byId("overview-why"), now.why);
    const seconds = Math.floor(this.summary.age / 1000);
    setText(byId("overview-asof"), unknown ? `${duration(seconds)} old` : `as of ${clock(receivedAt)}`);
  }

  #flow() {
    const events = this.history.rates("events");
    const flags = this.history.rates("flagged");
    this.events.show(events);
    this.flags.show(flags);
    const rows = events
      .map((point, index) => [clock(point.at), number(point.value === null ? NOTHING : rate(point.value)), number(flags[index].value === null ? NOTHING : rate(flags[index].value))])
      .slice(-24)
      .reverse();
    byId("flow-table").replaceChildren(...table(["Time", number("Events a second"), number("Flagged a second")], rows, "Events and flags over time"));
    return events.length < 2 ? "Drawn from now on, every 5 s" : "";
  }

  #levels(data) {
    this.donut.show(data.risk_levels);
    byId("levels-hole").replaceChildren(h("b", whole(data.flagged)), h("span.small.soft", "flagged"));
    const rows = LEVELS.map((name) => {
      const count = data.risk_levels[name] ?? 0;
      return [level(name), number(whole(count)), number(share(data.judged ? count / data.judged : NaN))];
    });
    byId("levels-table").replaceChildren(...table(["Level", number("Events"), number("Of judged")], rows, "Judged events by level"));
  }
}

const sentence = (note) => (note ? `${note}.` : "");

/** How many of the waiting records the broker does not give out yet, as a producer's transaction before them is open. */
export const withheldIn = (summary) => Object.values(summary.lag_open_transactions).reduce((sum, count) => sum + count, 0);

function waitingIn(data) {
  const withheld = withheldIn(data);
  if (data.coverage.missing.length) return "in the partitions that answer";
  if (data.total_lag === 0) return "nothing to catch up";
  if (withheld) return `${whole(withheld)} behind an open transaction`;
  if (data.events_per_second <= 0) return "not moving now";
  const seconds = data.total_lag / data.events_per_second;
  return seconds < 1 ? "less than 1 s of work" : `${duration(seconds)} of work`;
}

function topRules(body, rules) {
  const sorted = Object.entries(rules).sort(([a, m], [b, n]) => n - m || a.localeCompare(b)).slice(0, SHOWN);
  const most = sorted[0][1];
  body.replaceChildren(
    h("ul.bars", sorted.map(([id, count]) =>
      h("li", h("a", { href: `#/verdicts?rule=${encodeURIComponent(id)}`, title: id }, ruleName(id)), h("span.number", whole(count)), bar(count / most)),
    )),
  );
}

/** The flagged of one region by level, as one bar. */
function split(byLevel, most) {
  const track = h("span.bar.split", { "aria-hidden": "true" });
  for (const name of FLAGGED.filter((one) => byLevel[one])) {
    const part = h("span.fill", { data: { level: name } });
    part.style.inlineSize = `${(100 * byLevel[name]) / most}%`;
    track.append(part);
  }
  return track;
}

function regions(body, data) {
  const sorted = [...data.regions].sort((a, b) => b.flagged - a.flagged || a.region.localeCompare(b.region)).slice(0, 6);
  const most = Math.max(1, sorted[0]?.flagged ?? 0);
  const line = (one) => {
    const words = FLAGGED.map((name) => `${name} ${whole(one.by_level[name] ?? 0)}`).join(", ");
    return h("li", h("button.link", { type: "button", title: words, onclick: () => openRegion(one) }, one.region, " ", h("span.soft", countryOf(one.region))), h("span.number", whole(one.flagged)), split(one.by_level, most), h("span.unseen", words));
  };
  body.replaceChildren(
    h("ul.bars", sorted.map(line)),
    data.groups.length
      ? h("dl.groups.small", data.groups.map((one) => h("div", h("dt", one.region), h("dd", whole(one.flagged)))))
      : "",
  );
}

/** An error rate as a bar, with its 95 % interval as a line around its end. */
function rateBar(one, most) {
  const track = bar(one.rate / most);
  const span = h("span.span");
  span.style.insetInlineStart = `${(100 * one.low) / most}%`;
  span.style.inlineSize = `${(100 * (one.high - one.low)) / most}%`;
  track.append(span);
  return track;
}

function titles(body, data) {
  const most = Math.max(0.01, ...data.contents.map((one) => one.error_rate.high));
  const line = (one) => {
    const { rate: failing, low, high, events } = one.error_rate;
    return h("li",
      h("span", h("button.link", { type: "button", onclick: () => openTitle(one.content_id) }, one.content_id), " ", one.risk_level === "NONE" ? null : level(one.risk_level)),
      h("span.number", { title: "95 % interval" }, h("span.soft.small.interval", `${share(low)} to ${share(high)}`), share(failing)),
      rateBar(one.error_rate, most),
      h("span.unseen", `of ${whole(events)} playback events`));
  };
  body.replaceChildren(h("ul.bars", data.contents.map(line)));
}

/** The newest verdicts. They hold still under the pointer, and the one with the focus stays. */
function latest(body, data) {
  if (body.querySelector("ol.verdicts")?.matches(":hover")) return "Held while you point at it";
  verdictList(body, data.verdicts);
  return "";
}

/** Where an alert leads: to its user, its title or its device; nowhere to a device that is known by its pseudonym only. */
function subjectLink({ type, id }) {
  if (type === "user") return userLink(id);
  if (type === "device" && ids.arePseudonyms) return h("span", id);
  return h("button.link", { type: "button", onclick: () => (type === "content" ? openTitle(id) : openDevice(id)) }, id);
}

function alerts(body, data) {
  const state = (alert) => (alert.status === "closed" ? ["closed ", alert.closed_at ? time(alert.closed_at) : ""] : ["since ", time(alert.opened_at)]);
  body.replaceChildren(
    h("ul.alerts", data.alerts.map((alert) =>
      h("li", level(alert.severity), h("span", { title: alert.summary }, ruleName(alert.rule_id), " ", subjectLink(alert.subject)), h("span.soft.small", alert.count === 1 ? "once, " : `${whole(alert.count)} times, `, state(alert))),
    )),
    ids.arePseudonyms ? h("p.small.soft", "Ids of users and devices are pseudonyms: they lead to verdicts, not to whom they stand for.") : "",
  );
}
