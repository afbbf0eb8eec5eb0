// One user, as the rules see it.
import { get } from "./api.js";
import { bar, byId, h, number, setText, table } from "./dom.js";
import { NOTHING, countryOf, fine, period, time, whole } from "./format.js";
import { ASK_BY, ids } from "./ids.js";
import { Panel, sayError } from "./panel.js";
import { Part } from "./part.js";
import { RequestForm } from "./requests.js";
import { Source } from "./source.js";
import { openDevice } from "./subject.js";
import { openVerdict } from "./verdict.js";
import { findings, gist, level } from "./words.js";

export class Users {
  constructor() {
    this.id = null;
    this.parts = [];
    this.form = byId("user-search");
    this.request = new RequestForm(() => this.#openRequests());
    this.panel = new Panel(byId("panel-user"), new Source(() => (this.id ? `/users/${encodeURIComponent(this.id)}` : null)), {
      draw: (body, data) => this.#draw(body, data),
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const id = this.form.elements.user_id.value.trim();
      if (id) location.hash = `#/users/${encodeURIComponent(id)}`;
    });
  }

  get panels() {
    return [this.panel];
  }

  /** Show a user; null: only the search. */
  open(id) {
    if (id !== this.id) {
      this.id = id;
      this.clear();
    }
    this.form.elements.user_id.value = id ?? "";
    this.request.open(id);
    this.#show();
  }

  async refresh(signal) {
    if (!this.id) {
      this.#show();
      return;
    }
    // What is read, opened or selected here must not be drawn away: asked anew every 5 s, drawn when it changed.
    await Promise.all([this.panel.source.refresh(signal), ...this.parts.map((part) => part.refresh(signal))]);
    if (signal?.aborted) return;
    this.request.seen(this.requests?.source.data);
    this.#show();
  }

  clear() {
    this.request.clear();
    this.#forget();
    this.panel.source.clear();
    this.#show();
  }

  /** Nothing of a user is drawn any more, and no part of theirs is asked for. */
  #forget() {
    this.drawn = null;
    this.moreOf = null;
    this.parts = [];
    this.requests = null;
  }

  #show() {
    const { panel } = this;
    panel.show();
    this.request.isAbsent = panel.source.error?.kind === "absent";
    if (!this.id) {
      panel.element.dataset.state = "empty";
      setText(panel.messageElement, ids.arePseudonyms ? `Type the id of a user. ${ASK_BY}` : "Type the id of a user, as it stands in a verdict.");
    } else if (panel.source.error?.kind === "absent") {
      this.#forget();
      panel.source.data = null;
      panel.show();
      setText(panel.messageElement, `Nothing is known of a user ${this.id}: no event of theirs was judged here, or all of it was forgotten.${ids.arePseudonyms ? ` ${ASK_BY}` : ""}`);
    }
  }

  #draw(body, data) {
    const text = JSON.stringify([ids.arePseudonyms, data]);
    if (text === this.drawn) return;
    this.drawn = text;
    body.replaceChildren(
      h("div.grid",
        h("section.card.full", h("header", h("h2", data.user_id), ids.arePseudonyms ? h("span.soft", `the pseudonym of ${this.id}`) : null, level(data.risk_level), h("span.soft", `score ${whole(data.score)} now`), data.window?.saturated ? h("p.note.small", "The window is full: its oldest events left early") : null), h("div.body", hour(data))),
        h("section.card.wide", h("header", h("h2", "Why")), h("div.body", why(data))),
        h("section.card", h("header", h("h2", "Privacy record")), h("div.body", privacy(data.privacy))),
        ...(data.window ? windowCards(data.window) : []),
        this.#more(this.id),
      ),
    );
  }

  /**
   * What is asked for when it is opened. By the id that was looked up: where there are pseudonyms, an answer has one
   * in its place. The same element for a user's every drawing: what is open stays open.
   */
  #more(id) {
    if (this.moreOf !== id) {
      this.moreOf = id;
      this.requests = new Part("Privacy requests", `/privacy/requests/${encodeURIComponent(id)}`, requests);
      this.parts = [new Part("Segment and trend", `/users/${encodeURIComponent(id)}/segment`, segment), this.requests];
      if (this.request.isWaiting) this.#openRequests();
      this.moreElement = h("section.card.full", h("header", h("h2", "More")), h("div.body",
        this.parts.map((part) => part.element),
        this.#lazyTables(id),
        this.#lazy("This view as JSON", `/users/${encodeURIComponent(id)}`, (view) => h("pre", { tabindex: "0", "aria-label": "This view as JSON" }, JSON.stringify(view, null, 2))),
      ));
    }
    return this.moreElement;
  }

  /** What was queued is looked for in the list, as soon as there is one. */
  #openRequests() {
    if (this.requests) this.requests.element.open = true;
  }

  /** What is asked for only when it is opened: a key that was typed, a place in a long text are not drawn away. */
  #lazy(title, path, draw) {
    const inner = h("div", h("p.soft", "Loading"));
    const element = h("details", h("summary", title), inner);
    element.addEventListener("toggle", async () => {
      if (!element.open) return;
      try {
        inner.replaceChildren(...[draw(await get(path))].flat());
      } catch (error) {
        inner.replaceChildren(h("p.soft", error.kind === "absent" ? "None are known." : sayError(error)));
      }
    });
    return element;
  }

  /** A table's raw state; its key can be changed, as only the users' table has the user as its key. */
  #lazyTables(id) {
    return this.#lazy("Raw state in the tables", "/tables", (data) => data.tables.map((one) => this.#browser(one.name, KEYS[one.name]?.(id) ?? "")));
  }

  #browser(table, key) {
    const found = h("div", { role: "status" });
    const field = h("input", { name: "key", value: key, required: true, maxlength: "255", autocapitalize: "none", spellcheck: "false" });
    const form = h("form.filters", h("label.grow", `Key in ${table}`, field), h("div.buttons", h("button", { type: "submit" }, "Show")));
    const show = async () => {
      try {
        const record = await get(`/tables/${encodeURIComponent(table)}/${encodeURIComponent(field.value)}`);
        found.replaceChildren(
          h("p.small.soft", `Partition ${record.partition}, on ${record.owner}, changelog offset ${record.changelog_offset === null ? "not known" : whole(record.changelog_offset)}${record.uncommitted ? ", changed since the last commit" : ""}.`),
          h("pre", { tabindex: "0", "aria-label": `Raw state in ${table}` }, JSON.stringify(record.value, null, 2)),
        );
      } catch (error) {
        found.replaceChildren(h("p.soft", error.errors?.length ? `A key ${error.errors[0].message}.` : sayError(error)));
      }
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void show();
    });
    if (key) void show();
    return h("div", form, found);
  }
}

/** A user's key in a table. */
const KEYS = { "users-v1": (id) => `u${id}` };

const fact = (name, value) => h("div", h("dt", name), h("dd", value));

/** The sliding hour in figures. */
function hour({ window: view, last_place: place, anomaly }) {
  if (!view) return h("p.soft", "There is no window: no event was in order yet, or the user was idle for 30 days.");
  return h("dl.facts",
    fact("The hour that the rules see", period(view.start, view.end)),
    fact("Events", whole(view.events)),
    fact("Regions", whole(view.regions.length)),
    fact("Networks", whole(view.distinct_networks)),
    fact("Devices playing at its end", whole(view.playing.length)),
    fact("Log-in failures", whole(view.login_failures)),
    fact("Score of the anomaly model", unusual(anomaly)),
    fact("Last place", place ? [place.region, " ", h("span.soft", countryOf(place.region)), ", ", time(place.time, { full: true })] : NOTHING),
  );
}

const UNSCORED = {
  no_model: "no model is in force",
  refused_model: "the model that was published cannot be used",
  rule_off: "its rule is off",
  too_little_history: "too few events in the hour",
  not_scored_yet: "not scored yet",
  failed: "the model failed on it",
};

/** The score, or why there is none: an hour without one is not called ordinary. */
function unusual({ not_evaluated: reason, score, threshold, is_anomaly: isAnomaly }) {
  if (reason) return h("span.soft", `none: ${UNSCORED[reason] ?? reason}`);
  return [isAnomaly ? h("b", fine(score)) : fine(score), h("span.soft", ` (unusual above ${fine(threshold)})`)];
}

function why(data) {
  const last = data.last_verdict;
  return [
    data.findings.length ? findings(data.findings) : h("p.soft", "No rule fires on the user's last event as things are now."),
    last
      ? h("p", h("span.soft", "Newest verdict: "), level(last.risk_level), " ", h("button.link", { type: "button", onclick: () => openVerdict(last) }, gist(last)), " ", h("span.soft", time(last.event_time)))
      : h("p.soft", "No verdict on this user is known here."),
  ];
}

function mark(name, one) {
  if (one.since === null && one.until === null) return fact(name, h("span.soft", "never"));
  return fact(name, [
    one.since === null ? "withdrawn " : [h("b", "in force"), " since ", time(one.since, { full: true })],
    one.last !== null && one.last !== one.since ? [", last signal ", time(one.last, { full: true })] : null,
    one.until !== null ? [one.since === null ? "" : ", withdrawn ", time(one.until, { full: true })] : null,
  ]);
}

function privacy(record) {
  const when = (instant) => (instant === null ? h("span.soft", "never") : time(instant, { full: true }));
  return h("dl.facts", mark("Opt-out", record.opt_out), mark("Deletion", record.deletion), fact("Consent given", when(record.consent_given)), fact("Consent withdrawn", when(record.consent_withdrawn)));
}

function windowCards(view) {
  const card = (title, aside, list, heading, show = (one) => one.name) => {
    const most = Math.max(1, ...list.map((one) => one.events));
    const rows = list.map((one) => [show(one), number(whole(one.events)), bar(one.events / most), time(one.last)]);
    return h("section.card", h("header", h("h2", title), h("p.note.small", aside)), h("div.body", list.length ? h("table.plain", table([heading, number("Events"), "", "Last"], rows, title)) : h("p.state", "None")));
  };
  const playing = new Set(view.playing);
  return [
    card("Regions", "", view.regions, "Region", (one) => [one.name, " ", h("span.soft", countryOf(one.name))]),
    card("Networks", "masked", view.networks, "Network", (one) => h("code", one.name)),
    card("Devices", ids.arePseudonyms ? "pseudonyms" : "", view.devices, "Device", (one) => [ids.arePseudonyms ? h("code", one.name) : h("button.link", { type: "button", onclick: () => openDevice(one.name) }, one.name), playing.has(one.name) ? [" ", h("span.chip", "plays")] : ""]),
  ];
}

function segment(data) {
  return h("dl.facts",
    fact("Segment", data.segment.replaceAll("_", " ")),
    fact("Why", data.why),
    fact("Trend", `${data.trend}: ${whole(data.newer_half)} events in the newer half hour, ${whole(data.older_half)} in the older`),
  );
}

function requests(data) {
  if (!data.requests.length) return h("p.soft", "None are known.");
  return [
    h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Privacy requests" }, h("table.plain", table(["Asked", "What", "Region", "Holds", "Due"], data.requests.map((one) => [
      time(one.timestamp, { full: true }),
      one.type.replaceAll("_", " "),
      one.region ?? NOTHING,
      one.holds ? "yes" : "no",
      one.deadlines.length ? one.deadlines.map((due) => h("span.pair", `${due.law} `, time(due.due, { full: true }))) : NOTHING,
    ]), "Privacy requests"))),
    data.erased.length ? h("p", "Erased here: ", data.erased.map((at) => h("span.pair", time(at, { full: true })))) : null,
  ].filter(Boolean);
}
