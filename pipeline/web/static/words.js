// Rules, levels and evidence in words.
import { h } from "./dom.js";
import { NOTHING, countryOf, duration, fine, isInstant, period, share, time, whole } from "./format.js";
import { guidance } from "./guidance.js";

export const LEVELS = ["HIGH", "MEDIUM", "LOW", "NONE"];
const MARKS = { HIGH: "▲", MEDIUM: "◆", LOW: "●", NONE: "○" };

/** A level as mark and word: nobody has to tell it by the colour. */
export function level(name) {
  const known = LEVELS.includes(name) ? name : "NONE";
  return h("span.level", { data: { level: known } }, h("span", { "aria-hidden": "true" }, MARKS[known]), h("span", name ?? NOTHING));
}

const RULES = {
  "privacy.consent_missing": "Consent missing",
  "privacy.jurisdiction_mismatch": "Jurisdiction mismatch",
  "privacy.minor": "Minor without consent",
  "privacy.sharing_without_consent": "Shared without consent",
  "retention.opt_out_ignored": "Opt-out ignored",
  "account.multi_region": "Many regions",
  "account.multi_ip": "Many networks",
  "account.high_frequency": "Too many events",
  "account.impossible_travel": "Impossible travel",
  "account.concurrent_streams": "Too many streams",
  "account.login_failures": "Failed log-ins",
  "anomaly.isolation_forest": "Unusual behaviour",
  "content.error_rate": "Title fails",
  "device.error_rate": "Device fails",
};
export const RULE_IDS = Object.keys(RULES);

export function ruleName(id) {
  return RULES[id] ?? sentence(String(id).split(".").pop());
}

function sentence(name) {
  const words = String(name).replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const LABELS = {
  wilson_low: "95 % interval from",
  wilson_high: "95 % interval to",
  speed_kmh: "Speed",
  max_speed_kmh: "Fastest possible",
  distance_km: "Distance",
  min_distance_km: "Counts from",
  hours: "In",
  events: "Events in the window",
  failures: "Failures in the window",
  devices: "Devices that play",
  subscription_plan: "Plan",
  limit: "Allowed by the plan",
  silent_after_seconds: "Counts as stopped after",
  deletion_deadline_days: "Deadline, days",
  user_age: "Age",
  consent_ages: "Age of consent",
  is_eu: "Producer says EEA",
  has_consent: "Consent",
  data_shared: "Shared with third parties",
  left_out: "Partitions left out",
};
/** Kept together as one line each, see `evidence`. */
const BOUNDS = ["window_start", "window_end"];
const LIMITS = ["medium_over", "high_over", "medium_min_events", "high_min_events"];

function shown(key, value) {
  if (value === null || value === undefined) return NOTHING;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (isInstant(value)) return time(value, { full: true });
  if (typeof value === "number") {
    if (key.endsWith("_kmh")) return `${whole(value)} km/h`;
    if (key.endsWith("_km")) return `${whole(value)} km`;
    if (key.endsWith("_seconds")) return duration(value);
    if (key === "hours") return duration(value * 3600);
    if (key === "rate" || key.startsWith("wilson_")) return share(value);
    return fine(value);
  }
  if (Array.isArray(value)) {
    if (value.length === 0) return "none";
    return h("span.chips", value.map((one) => h("span.chip", typeof one === "object" ? JSON.stringify(one) : String(one))));
  }
  if (typeof value === "object") {
    const parts = Object.entries(value).map(([name, one]) => h("span.chip", name, " ", h("b", shown(name, one))));
    return parts.length ? h("span.chips", parts) : "none";
  }
  if (key.endsWith("region")) {
    const country = countryOf(value);
    return country ? `${value} (${country})` : String(value);
  }
  return String(value);
}

/** A finding's evidence as a list of terms and values. */
export function evidence(values) {
  const list = h("dl.facts");
  const line = (label, value) => list.append(h("div", h("dt", label), h("dd", value)));
  for (const [key, value] of Object.entries(values)) {
    if (!BOUNDS.includes(key) && !LIMITS.includes(key)) line(LABELS[key] ?? sentence(key), shown(key, value));
  }
  const limits = limitsOf(values);
  if (limits) line("Limits", limits);
  if (values.window_start && values.window_end) {
    line("Window", period(values.window_start, values.window_end));
  }
  return list;
}

function limitsOf(values) {
  const isShare = "rate" in values;
  const one = (name, over, least) => {
    if (over === undefined) return null;
    const from = least === undefined ? "" : ` with at least ${whole(least)} events`;
    return `${name} above ${isShare ? share(over) : whole(over)}${from}`;
  };
  return [
    one("MEDIUM", values.medium_over, values.medium_min_events),
    one("HIGH", values.high_over, values.high_min_events),
  ]
    .filter(Boolean)
    .join("; ");
}

/** Findings, most severe first, each with its evidence. */
export function findings(list) {
  const order = (one) => LEVELS.indexOf(one.severity);
  return [...list]
    .sort((a, b) => order(a) - order(b))
    .map((finding) =>
      h(
        "article.finding",
        { data: { level: finding.severity } },
        h("header", level(finding.severity), h("h3", ruleName(finding.rule_id)), h("code.soft", finding.rule_id)),
        h("p", finding.summary),
        finding.regulations?.length
          ? h("p.small", h("span.soft", "Regulations "), h("span.chips", finding.regulations.map((name) => h("span.chip", name))))
          : null,
        guidance(finding),
        finding.saturated ? h("p.small.soft", "The window was full: its oldest events had left early.") : null,
        evidence(finding.evidence ?? {}),
      ),
    );
}

/** What a verdict found, in one sentence. */
export function gist(verdict) {
  if (!verdict.findings.length) return verdict.change === "closed" ? "The error rate is back to normal." : "Nothing was found.";
  const worst = [...verdict.findings].sort((a, b) => LEVELS.indexOf(a.severity) - LEVELS.indexOf(b.severity));
  const more = worst.length - 1;
  return worst[0].summary + (more ? ` And ${more} more.` : "");
}
