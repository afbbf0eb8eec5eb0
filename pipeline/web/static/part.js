// A part of a view that is folded away, asked for when it is opened, and from then on as often as the view itself.
import { h, setText } from "./dom.js";
import { clock } from "./format.js";
import { sayError } from "./panel.js";
import { Source } from "./source.js";

export class Part {
  /**
   * @param {string} title
   * @param {string} path of what it shows
   * @param {(data: object) => Node | Node[]} draw
   */
  constructor(title, path, draw) {
    this.draw = draw;
    this.drawn = null;
    this.source = new Source(() => (this.element.open ? path : null));
    this.note = h("p.note.small", { hidden: true });
    this.body = h("div", h("p.soft", "Loading"));
    this.element = h("details", h("summary", title), h("div", this.note, this.body));
    this.element.addEventListener("toggle", () => void this.refresh());
  }

  /** Ask again, if it is open. */
  async refresh(signal) {
    if (!this.element.open) return;
    await this.source.refresh(signal);
    if (!signal?.aborted) this.#show();
  }

  /** What is read or selected here is drawn anew only where it changed; what is old says so. */
  #show() {
    const { data, error, receivedAt } = this.source;
    const isGone = error?.kind === "absent";
    const shown = data === null || isGone ? null : JSON.stringify(data);
    if (shown === null) this.body.replaceChildren(h("p.soft", isGone ? "None are known." : sayError(error)));
    else if (shown !== this.drawn) this.body.replaceChildren(...[this.draw(data)].flat());
    this.drawn = shown;
    this.note.hidden = shown === null || error === null;
    setText(this.note, this.note.hidden ? "" : `${sayError(error)} This is of ${clock(receivedAt)}.`);
  }
}
