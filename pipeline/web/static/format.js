// Numbers, shares, durations and times as people read them.
// "negative": a zero has no sign, also where the figure is -0.
import { h } from "./dom.js";

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0, signDisplay: "negative" });
const ONE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1, signDisplay: "negative" });
const FINE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 4, signDisplay: "negative" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const NAMES = new Intl.DisplayNames("en", { type: "region" });
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

export const NOTHING = "–";

export const whole = (value) => (Number.isFinite(value) ? WHOLE.format(value) : NOTHING);

/** A rate: a digit after the point where it is small. */
export const rate = (value) => (Number.isFinite(value) ? (Math.abs(value) < 100 ? ONE : WHOLE).format(value) : NOTHING);

export const fine = (value) => (Number.isFinite(value) ? FINE.format(value) : NOTHING);

export function share(value) {
  if (!Number.isFinite(value)) return NOTHING;
  if (value > 0 && value < 0.001) return "< 0.1 %";
  return `${ONE.format(value * 100)} %`;
}

/** Seconds in their two largest units. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return NOTHING;
  if (seconds < 10) return `${ONE.format(seconds)} s`;
  if (seconds < 60) return `${WHOLE.format(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 100) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${WHOLE.format(hours)} h`;
}

export const isInstant = (value) => typeof value === "string" && INSTANT.test(value);

export function clock(milliseconds) {
  const moment = new Date(milliseconds);
  const today = moment.toDateString() === new Date().toDateString();
  return today ? CLOCK.format(moment) : `${DAY.format(moment)} ${CLOCK.format(moment)}`;
}

/** An instant in the viewer's zone, in UTC on hover. */
export function time(instant, { full = false } = {}) {
  const milliseconds = Date.parse(instant);
  if (Number.isNaN(milliseconds)) return h("span", instant ?? NOTHING);
  const utc = `${new Date(milliseconds).toISOString()} (UTC)`;
  return h("time", { datetime: instant, title: utc }, full ? FULL.format(milliseconds) : clock(milliseconds));
}

/** From one instant to another; the day once where it is the same. */
export function period(start, end) {
  const [from, to] = [new Date(start), new Date(end)];
  const last = time(end, { full: true });
  if (from.toDateString() === to.toDateString()) last.textContent = CLOCK.format(to);
  return [time(start, { full: true }), " to ", last];
}

/** The English name of a region's country, or nothing. */
export function countryOf(region) {
  if (region === "EU") return "EEA, country unknown";
  const country = String(region).split("-")[0];
  try {
    const name = NAMES.of(country);
    return name && name !== country ? name : "";
  } catch {
    return "";
  }
}
