// Which anomaly model scores.
import { byId, h } from "./dom.js";
import { time } from "./format.js";
import { inForce } from "./inforce.js";
import { Panel } from "./panel.js";
import { Source } from "./source.js";

export const modelPanel = () => new Panel(byId("panel-model"), new Source(() => "/models"), { draw });

function draw(body, { newest, in_force: versions, refused }) {
  body.replaceChildren(
    newest
      ? h("p", "Model ", h("code", newest.version), ", published ", time(newest.published_at, { full: true }), ` by ${newest.by}. Every verdict on a user names the model that scored.`)
      : h("p", "No model is in force, so nobody is scored."),
    inForce(newest?.version ?? "none", versions),
    refused ? h("p.message", { role: "alert" }, "The model published ", time(refused.published_at, { full: true }), ` was refused, so the last good one stays: ${refused.reason}`) : "",
  );
}
