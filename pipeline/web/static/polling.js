// Repeating a task: one run at a time, none while the tab is hidden.
export const EVERY_MS = 5000;
const LEAST_PAUSE_MS = 500;

export class Polling {
  /** @param {(signal: AbortSignal) => Promise<void>} task that handles its own errors */
  constructor(task, everyMs = EVERY_MS) {
    this.task = task;
    this.everyMs = everyMs;
    this.wanted = false;
    this.timer = null;
    this.running = null;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#halt();
      else if (this.wanted) this.now();
    });
  }

  start() {
    this.wanted = true;
    this.now();
  }

  stop() {
    this.wanted = false;
    this.#halt();
  }

  /** Run at once; a run that is under way is given up for it. */
  now() {
    if (!this.wanted || document.hidden) return;
    this.#halt();
    void this.#run();
  }

  #halt() {
    clearTimeout(this.timer);
    this.running?.abort();
    this.running = null;
  }

  async #run() {
    const controller = new AbortController();
    this.running = controller;
    const began = performance.now();
    try {
      await this.task(controller.signal);
    } catch (error) {
      if (!controller.signal.aborted) console.error(error);
    }
    if (this.running !== controller) return;
    this.running = null;
    const pause = Math.max(LEAST_PAUSE_MS, this.everyMs - (performance.now() - began));
    this.timer = setTimeout(() => this.now(), pause);
  }
}
