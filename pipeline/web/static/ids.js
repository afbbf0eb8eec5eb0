// Ids of users and devices in what the worker answers: where they are pseudonyms, nobody is found by them.
import { h } from "./dom.js";

let arePseudonyms = false;

export const ids = {
  get arePseudonyms() {
    return arePseudonyms;
  },
  /** Take it from the summary; whether it changed. */
  learn(summary) {
    const before = arePseudonyms;
    arePseudonyms = summary?.pseudonymised ?? before;
    return arePseudonyms !== before;
  },
};

export const ASK_BY = "Ids in verdicts are pseudonyms, which cannot be turned back: ask by the id that the clients send.";

/** A user that a verdict or an alert names: a link to the user, or to the verdicts where there is no way to the user. */
export function userLink(id) {
  const path = ids.arePseudonyms ? `#/verdicts?user_id=${encodeURIComponent(id)}` : `#/users/${encodeURIComponent(id)}`;
  return ids.arePseudonyms ? [h("span", id), " ", h("a", { href: path, "aria-label": `Verdicts of ${id}` }, "verdicts")] : h("a", { href: path }, id);
}
