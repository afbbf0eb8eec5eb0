// Rates over time, from the totals that the page has seen. Kept for the tab, so that a reload does not lose them.
const KEY = "ott-history";
const KEPT_MS = 30 * 60_000;
const GAP_MS = 20_000;

export class History {
  constructor() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEY));
      this.totals = Array.isArray(kept) ? kept : [];
    } catch {
      this.totals = [];
    }
  }

  /** Take the totals of a summary that came at `at` (milliseconds). */
  add(at, { judged, duplicate, failed, flagged, coverage }) {
    const last = this.totals.at(-1);
    if (last && at <= last.at) return;
    this.totals.push({ at, events: judged + duplicate + failed, flagged, missing: coverage.missing.join() });
    this.totals = this.totals.filter((one) => at - one.at <= KEPT_MS);
    try {
      sessionStorage.setItem(KEY, JSON.stringify(this.totals));
    } catch {
      // storage is closed or full: the history then ends with the page
    }
  }

  clear() {
    this.totals = [];
    try {
      sessionStorage.removeItem(KEY);
    } catch {
      // as above
    }
  }

  /**
   * Rates a second between one summary and the next: [{at, value}]. Null, a gap in the line, where nothing was asked
   * for a while, and where the totals are of other partitions or began anew: their difference says nothing.
   */
  rates(name) {
    return this.totals.slice(1).map((now, index) => {
      const before = this.totals[index];
      const comparable = now.missing === before.missing && now[name] >= before[name] && now.at - before.at <= GAP_MS;
      return { at: now.at, value: comparable ? ((now[name] - before[name]) * 1000) / (now.at - before.at) : null };
    });
  }
}
