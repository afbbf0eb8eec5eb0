// Verdicts: as lines of a list, and one with its reasons.
import { openDetails, rawJson } from "./details.js";
import { h, keep } from "./dom.js";
import { explainButton } from "./explanation.js";
import { NOTHING, countryOf, time, whole } from "./format.js";
import { ASK_BY, ids, userLink } from "./ids.js";
import { findings, gist, level } from "./words.js";

/** Fill `body` with a list of verdicts; lines of verdicts that stay keep the focus. */
export function verdictList(body, verdicts) {
  let list = body.querySelector("ol.verdicts");
  if (!list) {
    list = h("ol.verdicts");
    list.addEventListener("keydown", walk);
    body.replaceChildren(list);
  }
  keep(list, verdicts, (verdict) => verdict.verdict_id, line);
}

/** Arrow keys go from line to line. */
function walk(event) {
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  const next = step && event.target.closest("li")?.[step];
  if (!next) return;
  event.preventDefault();
  next.querySelector("button").focus();
}

function line(verdict) {
  const place = [verdict.region, verdict.event_type, verdict.change].filter(Boolean).join(" · ");
  return h(
    "li",
    h(
      "button",
      { type: "button", onclick: () => openVerdict(verdict) },
      level(verdict.risk_level),
      h("span.gist", gist(verdict)),
      h("span.about", h("span", verdict.subject.id), place ? h("span.soft", place) : null, verdict.late ? h("span.chip", "late") : null),
      h("span.when.soft", time(verdict.event_time)),
    ),
  );
}

/** A verdict with its reasons. */
export function openVerdict(verdict) {
  const subject = verdict.subject;
  const about = { user: "User", content: "Title", device: "Device" }[subject.type] ?? subject.type;
  openDetails(`Why ${verdict.risk_level}: ${about.toLowerCase()} ${subject.id}`, [
    h("p.verdict-head", level(verdict.risk_level), h("span", "score ", h("b", whole(verdict.score))), scoreWhy(verdict), time(verdict.event_time, { full: true })),
    verdict.late ? h("p.small.soft", "The event came too late for the user's window: only the legal rules judged it.") : null,
    verdict.findings.length ? findings(verdict.findings) : h("p", gist(verdict)),
    explainButton(verdict),
    h("h3", "What was judged"),
    facts(verdict, about),
    ids.arePseudonyms && subject.type !== "content" ? h("p.small.soft", ASK_BY) : null,
    rawJson(verdict),
  ]);
}

function scoreWhy(verdict) {
  if (!verdict.plan_adjustment) return null;
  const sign = verdict.plan_adjustment > 0 ? "+" : "−";
  return h("span.soft", `with ${sign}${Math.abs(verdict.plan_adjustment)} for the plan ${verdict.subscription_plan}`);
}

function facts(verdict, about) {
  const list = h("dl.facts");
  const fact = (name, value) => value !== null && value !== undefined && list.append(h("div", h("dt", name), h("dd", value)));
  const user = verdict.user_id;
  fact("User", user && userLink(user));
  if (!user) fact(about, verdict.subject.id);
  fact("Event", verdict.event_type);
  fact("Event id", verdict.event_id && h("code", verdict.event_id));
  fact("Device", user && verdict.device_id);
  fact("Title", user && verdict.content_id);
  fact("Region", verdict.region && [verdict.region, " ", h("span.soft", countryOf(verdict.region))]);
  fact("Change", verdict.change);
  fact("Plan", verdict.subscription_plan);
  fact("Dimensions", Object.keys(verdict.dimensions).length ? Object.entries(verdict.dimensions).map(([name, value]) => h("span.pair", name, " ", level(value))) : null);
  fact("Regulations", verdict.regulations.length ? h("span.chips", verdict.regulations.map((name) => h("span.chip", name))) : null);
  fact("Source", verdict.source && h("code", `${verdict.source.topic ?? NOTHING}, partition ${verdict.source.partition}, offset ${whole(verdict.source.offset)}`));
  fact("Rule set", verdict.ruleset_version && h("code", verdict.ruleset_version));
  fact("Model", verdict.model_version && h("code", verdict.model_version));
  fact("Verdict id", h("code", verdict.verdict_id));
  return list;
}
