// What to do when a rule fires: asked of a worker once, with the first finding that is shown.
import { get } from "./api.js";
import { h } from "./dom.js";

let known = null;
let asking = null;

function ask() {
  asking ??= get("/rules")
    .then((data) => { known = data.guidance; })
    .finally(() => { asking = null; });
  return asking;
}

/** The runbook of a finding's rule, and the articles of the laws that the finding names. */
export function guidance(finding) {
  const place = h("div.guidance");
  const fill = () => place.replaceChildren(...lines(known[finding.rule_id], finding.regulations ?? []));
  if (known) fill();
  else ask().then(fill, () => place.replaceChildren(h("p.small.soft", "What to do could not be loaded; docs/runbook.md has it.")));
  return place;
}

/** The lines of one rule's guidance; without `laws`, the references to all laws. */
export function lines(one, laws = null) {
  if (!one) return [];
  const references = one.references.filter((text) => laws === null || laws.includes(text.split(":")[0]));
  return [
    h("p.small", h("span.soft", "What to do "), one.runbook),
    references.length ? h("ul.small.soft", references.map((text) => h("li", text))) : "",
  ].filter(Boolean);
}
