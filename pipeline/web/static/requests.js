// The admin's form for a privacy request of the user that is shown.
import { ask } from "./api.js";
import { confirmed } from "./details.js";
import { byId, setText } from "./dom.js";
import { whole } from "./format.js";
import { ASK_BY, ids } from "./ids.js";
import { logLine } from "./panel.js";
import { session } from "./session.js";

const TIMEOUT_MS = 30_000;
const EFFECTS = {
  opt_out: "Events of theirs dated after it count as an ignored opt-out, until an opt-in.",
  opt_in: "It withdraws the opt-out; a deletion stays in force.",
  delete: "Events of theirs dated after it count as an ignored request for deletion, until they are reinstated.",
  reinstate: "It withdraws the deletion; an opt-out stays in force.",
  consent_given: "It is recorded and shown; events are judged by the consent that they carry themselves.",
  consent_withdrawn: "It is recorded and shown; events are judged by the consent that they carry themselves.",
};

export class RequestForm {
  /** @param {() => void} queued is called when a request was queued */
  constructor(queued) {
    this.queued = queued;
    this.card = byId("request-card");
    this.form = byId("request-form");
    this.log = byId("request-log");
    this.user = null;
    this.isAbsent = false;
    this.unsure = null;
    this.isBusy = false;
    this.waiting = new Map();
    this.form.addEventListener("change", () => this.#hint());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
  }

  /** Whether something was queued that has not been seen in the user's list. */
  get isWaiting() {
    return this.waiting.size > 0;
  }

  /** @param {string | null} user by the id that was looked up: where answers have pseudonyms, a request has none */
  open(user) {
    if (user !== this.user) {
      this.clear();
      this.user = user;
    }
    this.card.hidden = user === null || !session.isAdmin;
    this.#hint();
  }

  clear() {
    this.form.reset();
    this.log.replaceChildren();
    this.waiting.clear();
    this.unsure = null;
    this.#hint();
  }

  /** Take note of the user's list of requests: what stands there was applied. */
  seen(list) {
    for (const { request_id: id } of list?.requests ?? []) {
      const told = this.waiting.get(id);
      if (told) setText(told.entry, `${told.queued} Applied: it is in the list.`);
      this.waiting.delete(id);
    }
  }

  #hint() {
    setText(byId("request-hint"), EFFECTS[this.form.elements.type.value] ?? "");
  }

  async #send() {
    if (this.isBusy) return;
    const { user } = this;
    const type = this.form.elements.type.value;
    const region = this.form.elements.region.value.trim().toUpperCase();
    const words = type.replaceAll("_", " ");
    const text = [
      this.isAbsent ? "Nothing is known of this user here." : "",
      this.isAbsent && ids.arePseudonyms ? ASK_BY : "",
      EFFECTS[type],
      `It is dated now; deadlines are by the law of ${region || "the region where they were last"}. What is queued cannot be taken back.`,
    ];
    if (!(await confirmed(`Queue "${words}" for ${user}?`, text.filter(Boolean).join(" "), "Queue"))) return;
    if (user !== this.user) return; // the address went on while it was asked
    this.isBusy = true;
    const entry = logLine(this.log, `Queueing "${words}".`);
    const request = this.#request(user, type, region);
    try {
      const { request_id: id, partition, offset } = await ask("POST", "/privacy/requests", { json: request, timeoutMs: TIMEOUT_MS });
      const queued = `Queued "${words}": request ${id}, partition ${partition}, offset ${whole(offset)}.`;
      setText(entry, queued);
      if (user === this.user) {
        this.unsure = null;
        this.waiting.set(id, { entry, queued });
        this.form.reset();
        this.#hint();
        this.queued();
      }
    } catch (error) {
      entry.dataset.kind = "error";
      if (isRefusal(error)) this.unsure = null;
      setText(entry, isRefusal(error) ? `Not queued: ${inWords(error)}` : `Perhaps not queued: ${inWords(error)} Queue the same again: it counts once.`);
    }
    this.isBusy = false;
  }

  /** One that may have been queued already is sent again as it was, so that it counts once. */
  #request(user, type, region) {
    const again = this.unsure;
    if (!again || again.type !== type || (again.region ?? "") !== region) {
      this.unsure = { schema: "privacy-request/1", request_id: newId(), user_id: user, type, timestamp: new Date().toISOString(), ...(region ? { region } : {}) };
    }
    return this.unsure;
  }
}

/** A random id; `randomUUID` is there only where the page came from this machine or by HTTPS. */
function newId() {
  return crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether the answer says that nothing was queued. */
const isRefusal = (error) => error.status >= 400 && error.status < 500;

function inWords(error) {
  const fields = error.errors.filter((one) => !error.message.includes(one.message)).map((one) => `${one.path}: ${one.message}`);
  const text = [error.message, ...fields].join("; ");
  return text.endsWith(".") ? text : `${text}.`;
}
