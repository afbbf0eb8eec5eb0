// The button that explains a verdict. A worker judges the record again for it, which takes some seconds.
import { get } from "./api.js";
import { h, table } from "./dom.js";
import { NOTHING, fine, time, whole } from "./format.js";
import { sayError } from "./panel.js";
import { ruleName } from "./words.js";

const TIMEOUT_MS = 70_000;
const SHOWN = 20;

/** The button, and below it what was found; only verdicts on users can be explained. */
export function explainButton(verdict) {
  if (verdict.subject.type !== "user") return null;
  const result = h("div.explanation", { role: "status" });
  const button = h("button", { type: "button" }, "Explain");
  button.addEventListener("click", async () => {
    button.disabled = true;
    result.replaceChildren(h("p.small.soft", "The record is judged again, which takes some seconds."));
    try {
      result.replaceChildren(...explained(await get(`/verdicts/${encodeURIComponent(verdict.verdict_id)}/explanation`, { timeoutMs: TIMEOUT_MS })));
    } catch (error) {
      result.replaceChildren(h("p.message", { data: { kind: "error" } }, error.kind === "unavailable" ? error.message : sayError(error)));
    }
    button.disabled = false;
  });
  return [h("div.buttons", button), result];
}

function explained({ findings, window, again, same, verdict }) {
  return [
    ...findings.map((one) =>
      h("section", h("h3", ruleName(one.rule_id)), one.measure ? h("p.small", saw(one)) : null, events(one.events, `Events behind ${ruleName(one.rule_id)}`)),
    ),
    h("p.small", `The user's hour had ${whole(window.length)} events. Judging the record again gives ${outcome(again, same, verdict)}`),
  ];
}

function outcome(again, same, verdict) {
  if (same) return "the same bytes.";
  const parts = again && Object.keys(again).filter((name) => JSON.stringify(again[name]) !== JSON.stringify(verdict[name]));
  return `${again ? `other bytes, in ${parts.join(", ")}` : "no verdict"}. What happened before the hour may be missing: ott explain ${verdict.verdict_id} --warmup all`;
}

function saw({ measure, limits }) {
  const far = limits.map(({ level, above, by }) => `; ${level} is above ${fine(above)}, ${by > 0 ? "exceeded" : "not reached"} by ${fine(Math.abs(by))}`);
  return ["It saw ", h("b", `${measure.name.replaceAll("_", " ")} ${fine(measure.value)}`), far];
}

/** The newest events, as the last ones are nearest to the verdict. */
function events(all, caption) {
  const rows = all.slice(-SHOWN).map((one) => [time(one.time, { full: true }), one.type, one.region, h("code", one.network), one.device_id, one.content_id ?? NOTHING, one.error_code ?? ""]);
  return [
    h("div.scroll", { tabindex: "0", role: "region", "aria-label": caption }, h("table.plain.small", table(["Time", "Type", "Region", "Network", "Device", "Title", "Error"], rows, caption))),
    all.length > SHOWN ? h("p.small.soft", `The newest ${SHOWN} of ${whole(all.length)} are shown.`) : null,
  ];
}
