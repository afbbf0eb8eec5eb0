// Details of a title, a region or a device, in the dialog.
import { get } from "./api.js";
import { openDetails, rawJson } from "./details.js";
import { h, number, table } from "./dom.js";
import { clock, countryOf, duration, share, whole } from "./format.js";
import { sayError } from "./panel.js";
import { LEVELS, level, ruleName } from "./words.js";

async function show(heading, path, draw) {
  openDetails(heading, h("p.state", { role: "status" }, "Loading"));
  try {
    const data = await get(path);
    openDetails(heading, draw(data), rawJson(data));
  } catch (error) {
    openDetails(heading, h("p.state", { role: "alert" }, error.kind === "absent" ? "Nothing is known of it (any more)." : sayError(error)));
  }
}

const fact = (name, value) => h("div", h("dt", name), h("dd", value));

const rateOf = (one) => `${share(one.rate)} (${whole(one.errors)} of ${whole(one.events)}; 95 % interval ${share(one.low)} to ${share(one.high)})`;

const CHIPS = 10;

/** The first counts by name, and how many more there are. */
function chips(counts) {
  if (!counts.length) return "none";
  const rest = counts.length - CHIPS;
  const shown = counts.slice(0, CHIPS).map((one) => h("span.chip", one.name, " ", h("b", whole(one.count))));
  return h("span.chips", shown, rest > 0 ? h("span.soft.small", `and ${whole(rest)} more`) : null);
}

function minutes(list) {
  if (!list.length) return null;
  const rows = [...list].reverse().map((one) => [clock(Date.parse(one.start)), number(whole(one.plays)), number(whole(one.events)), number(whole(one.errors)), number(duration(one.watch_seconds))]);
  return [
    h("h3", "By minute"),
    h("div.scroll", { tabindex: "0", role: "region", "aria-label": "By minute" }, h("table.plain", table(["Minute", number("Plays"), number("Events"), number("Errors"), number("Watched")], rows, "By minute, newest first"))),
  ];
}

export function openTitle(id) {
  return show(`Title ${id}`, `/stats/content/${encodeURIComponent(id)}`, (data) => [
    h("dl.facts",
      fact("Level", level(data.risk_level)),
      fact("Error rate", rateOf(data.error_rate)),
      fact("Plays", whole(data.plays)),
      fact("Starts that failed", whole(data.failed_starts)),
      fact("Watched", duration(data.watch_seconds)),
      fact("Devices", chips(data.device_mix)),
      fact("Top regions", chips(data.top_regions)),
      fact("Error codes", chips(data.top_error_codes)),
    ),
    minutes(data.minutes),
  ]);
}

/** @param risk what /compliance/regions says of it; the figures of its playback are asked for */
export function openRegion(risk) {
  const name = countryOf(risk.region);
  const flagged = h("dl.facts",
    fact("Flagged", whole(risk.flagged)),
    fact("By level", LEVELS.filter((one) => risk.by_level[one]).map((one) => h("span.pair", level(one), " ", whole(risk.by_level[one])))),
    fact("By rule", chips(Object.entries(risk.by_rule).sort(([, a], [, b]) => b - a).map(([id, count]) => ({ name: ruleName(id), count })))),
  );
  return show(`Region ${risk.region}${name ? `, ${name}` : ""}`, `/stats/region/${encodeURIComponent(risk.region)}`, (data) => [
    h("p", h("a", { href: `#/verdicts?region=${encodeURIComponent(risk.region)}` }, "Its verdicts")),
    flagged,
    h("dl.facts",
      fact("Error rate", rateOf(data.error_rate)),
      fact("Plays", whole(data.plays)),
      fact("Watched", duration(data.watch_seconds)),
      fact("Error codes", chips(data.errors)),
      fact("Devices", chips(data.device_mix)),
    ),
    minutes(data.minutes),
  ]);
}

export function openDevice(id) {
  return show(`Device ${id}`, `/stats/device/${encodeURIComponent(id)}`, (data) =>
    h("dl.facts",
      fact("Level", level(data.risk_level)),
      fact("Error rate", rateOf(data.error_rate)),
      fact("Events", whole(data.events)),
      fact("Users", whole(data.users)),
    ),
  );
}
