// How far the anomaly model's features and score have moved from its training.
import { byId, h, number, table } from "./dom.js";
import { NOTHING, fine, whole } from "./format.js";
import { Panel } from "./panel.js";
import { Source } from "./source.js";

export const driftPanel = () =>
  new Panel(byId("panel-drift"), new Source(() => "/drift"), { draw, empty: ({ model }) => (model ? null : "No model has scored anything on this worker yet.") });

function draw(body, data) {
  const names = Object.keys(data.days.find(({ psi }) => psi)?.psi ?? {});
  const highest = (name) => Math.max(...data.days.map(({ psi }) => psi?.[name] ?? 0));
  names.sort((a, b) => highest(b) - highest(a));
  const moved = names.filter((name) => highest(name) > data.moved_above).length;
  const rows = names.map((name) => [h("code", name), ...data.days.map(({ psi }) => number(psi ? fine(psi[name]) : NOTHING)), word(highest(name), data)]);
  const scrolled = body.querySelector(".scroll")?.scrollTop ?? 0;
  body.replaceChildren(
    h("p", "Model ", h("code", data.model), ". ", data.days.map(({ date, minutes, psi }) => `${date}: ${whole(minutes)} minutes counted${psi ? "" : ", too few to say anything"}. `)),
    names.length ? h("p", moved ? `${whole(moved)} ${moved === 1 ? "has" : "have"} moved: look there, and train again if the change is to stay. ` : "Nothing has moved far from training. ", h("span.soft", `The index compares a day with training: below ${data.stable_below} is stable, above ${data.moved_above} has moved.`)) : "",
    names.length ? h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Drift by feature" }, h("table.plain", table(["Feature", ...data.days.map(({ date }) => number(date)), ""], rows, "Population stability index by feature and day"))) : "",
  );
  const scroll = body.querySelector(".scroll");
  if (scroll) scroll.scrollTop = scrolled;
  return data.other_models ? `Without ${whole(data.other_models)} of the workers, which asked another model` : "";
}

function word(index, { stable_below: stable, moved_above: moved }) {
  return index > moved ? h("b", "moved") : index >= stable ? "moving" : "stable";
}
