// The last answer of one route, and how old it is.
import { get } from "./api.js";

export const STALE_MS = 15_000;

export class Source {
  /** @param {() => string | null} path to ask; null: there is nothing to ask now */
  constructor(path) {
    this.path = path;
    this.data = null;
    this.error = null;
    this.receivedAt = 0;
  }

  /** Ask, and keep what came of it. What was received stays beside a later error. */
  async refresh(signal) {
    const path = this.path();
    if (path === null) return;
    try {
      const data = await get(path, { signal });
      if (signal?.aborted) return;
      this.data = data;
      this.error = null;
      this.receivedAt = Date.now();
    } catch (error) {
      if (signal?.aborted) return;
      this.error = error;
    }
  }

  clear() {
    this.data = null;
    this.error = null;
    this.receivedAt = 0;
  }

  get age() {
    return Date.now() - this.receivedAt;
  }

  get isStale() {
    return this.data !== null && this.age > STALE_MS;
  }
}
