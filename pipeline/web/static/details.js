// The one dialog for details. Closing it gives the focus back to where it was.
import { byId, h } from "./dom.js";

const dialog = byId("details");
const title = byId("details-title");
const body = dialog.querySelector(".body");

byId("details-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // the backdrop
  if (event.target.closest("a")) dialog.close(); // it leads away, also where the address stays the same
});

/** Show content under a title. */
export function openDetails(heading, ...content) {
  title.textContent = heading;
  body.replaceChildren(...content.flat(Infinity).filter(Boolean));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  title.focus();
}

export function closeDetails() {
  if (dialog.open) dialog.close();
}

/** Whether the person says yes. */
export function confirmed(heading, text, yes) {
  const question = byId("question");
  byId("question-title").textContent = heading;
  byId("question-text").textContent = text;
  byId("question-yes").textContent = yes;
  question.returnValue = "no";
  question.showModal();
  return new Promise((resolve) => {
    question.addEventListener("close", () => resolve(question.returnValue === "yes"), { once: true });
  });
}

/** JSON to read and to copy. */
export function rawJson(value, label = "Raw JSON") {
  const text = JSON.stringify(value, null, 2);
  const copy = h("button", { type: "button" }, "Copy");
  const told = h("span.small.soft", { role: "status" });
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      told.textContent = "Copied";
    } catch {
      // Without a secure context, or refused: selecting it lets the person copy it.
      getSelection().selectAllChildren(pre);
      told.textContent = "Selected; copy it with the keyboard";
    }
  });
  const pre = h("pre", { tabindex: "0", "aria-label": label }, text);
  return h("details.raw", h("summary", label), h("div.buttons", copy, told), pre);
}
