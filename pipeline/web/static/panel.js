// A part of the page that shows one route's answer, and honestly where there is none.
import { h, setText } from "./dom.js";
import { clock, duration, whole } from "./format.js";

const LOGGED = 8;
const WORDS = {
  forbidden: "Your account may not see this.",
  unavailable: "Not available now: partitions are being moved or recovered.",
  unreachable: "The worker cannot be reached.",
};

/** What to say of an error. */
export function sayError(error) {
  return WORDS[error.kind] ?? error.message;
}

export class Panel {
  /**
   * @param {Element} element with a `.body` and a `.note`
   * @param {import("./source.js").Source} source
   * @param {{draw: (body: Element, data: object) => string | void, empty?: (data: object) => string | null}} how
   *   `draw` gets the body and the answer, and returns a remark while it is not all drawn; `empty` what to say where there is
   *   nothing to draw.
   */
  constructor(element, source, { draw, empty = () => null }) {
    this.element = element;
    this.source = source;
    this.draw = draw;
    this.empty = empty;
    this.body = element.querySelector(".body");
    this.noteElement = element.querySelector(".note");
    this.messageElement = h("p.state", { hidden: true });
    this.body.before(this.messageElement);
    this.drawnAt = -1;
    this.remark = "";
    this.show();
  }

  async refresh(signal) {
    await this.source.refresh(signal);
    if (!signal?.aborted) this.show();
  }

  /** Draw what the source has now. */
  show() {
    const { data, error, receivedAt } = this.source;
    if (data === null) {
      this.drawnAt = -1;
      this.#state(error ? "error" : "loading", error ? sayError(error) : "Loading");
      return;
    }
    const nothing = this.empty(data);
    if (nothing) {
      this.#state("empty", nothing);
      this.drawnAt = -1;
    } else {
      if (receivedAt !== this.drawnAt) this.remark = this.draw(this.body, data) || "";
      this.drawnAt = this.remark ? -1 : receivedAt;
      this.#state("ready", "");
    }
    this.age();
  }

  /** Say how old the figures are where that matters; called every second. */
  age() {
    const { source } = this;
    if (source.data === null) return;
    const old = source.isStale || (source.error && source.error.kind !== "unauthorized");
    this.element.classList.toggle("stale", Boolean(source.isStale));
    if (!old) {
      setText(this.noteElement, [this.remark, coverageNote(source.data)].filter(Boolean).join("; "));
      return;
    }
    const age = `of ${clock(source.receivedAt)}, ${duration(Math.floor(source.age / 1000))} old`;
    setText(this.noteElement, source.isStale ? `Stale: ${age}` : `${sayError(source.error)} Figures ${age}`);
  }

  #state(name, message) {
    this.element.dataset.state = name;
    this.body.hidden = name !== "ready";
    this.messageElement.hidden = name === "ready";
    setText(this.messageElement, message);
    if (name === "loading" || name === "error") {
      setText(this.noteElement, "");
      this.element.classList.remove("stale");
    }
  }
}

/** Put a line with the time on top of a list of what was done; returns the element with its text. */
export function logLine(list, text) {
  const entry = h("span", text);
  list.prepend(h("li", h("span.soft", clock(Date.now())), " ", entry));
  while (list.children.length > LOGGED) list.lastElementChild.remove();
  return entry;
}

/** What an answer lacks, or what it is limited to, in words; nothing where it has all. */
export function coverageNote({ coverage, index, alerts, open }) {
  const notes = [];
  if (alerts && open > alerts.length) notes.push(`${whole(open)} open`);
  if (coverage?.missing?.length) notes.push(`Without partition${coverage.missing.length > 1 ? "s" : ""} ${coverage.missing.join(", ")}`);
  if (index && index.verdicts >= index.limit) notes.push(`The newest ${whole(index.verdicts)} verdicts`);
  if (index?.behind > 0) notes.push(`${whole(index.behind)} more are being indexed`);
  return notes.join("; ");
}
