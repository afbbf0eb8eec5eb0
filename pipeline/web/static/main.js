// The page: which view is shown, and what is asked for it every five seconds.
import { closeDetails } from "./details.js";
import { byId, h, setText } from "./dom.js";
import { clock } from "./format.js";
import { History } from "./history.js";
import { ids } from "./ids.js";
import { describe, sayOnLogin } from "./login.js";
import { Operation } from "./operation.js";
import { Overview, standing } from "./overview.js";
import { sayError } from "./panel.js";
import { Polling } from "./polling.js";
import { Rules } from "./rules.js";
import { session } from "./session.js";
import { Source } from "./source.js";
import { Users } from "./users.js";
import { Verdicts } from "./verdicts.js";

const SPOKEN_EVERY_MS = 60_000;

const summary = new Source(() => "/stats/summary");
const history = new History();
const views = {
  overview: new Overview(summary, history),
  verdicts: new Verdicts(),
  users: new Users(),
  rules: new Rules(),
  operation: new Operation(summary, () => polling.now()),
};
let shown = null;

const polling = new Polling(async (signal) => {
  await Promise.all([refreshSummary(signal), views[shown]?.refresh(signal)]);
});

async function refreshSummary(signal) {
  const before = summary.receivedAt;
  await summary.refresh(signal);
  if (signal.aborted) return;
  if (summary.receivedAt !== before) history.add(summary.receivedAt, summary.data);
  // What was drawn before it was known has links that lead to nobody.
  if (ids.learn(summary.data)) polling.now();
  views.overview.show();
  views.operation.show();
  age();
}

// -- which view

/** `#/users/u%201` and `#/verdicts?rule=...` as [view, rest, query]. */
function address() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  let argument = null;
  try {
    argument = rest.length && rest[0] ? decodeURIComponent(rest[0]) : null;
  } catch {
    argument = rest[0]; // a broken escape: taken as it is
  }
  return [Object.hasOwn(views, name) ? name : "overview", argument, new URLSearchParams(query)];
}

function show({ focus = false } = {}) {
  const [name, argument, query] = session.isOpen ? address() : ["login", null, null];
  closeDetails();
  for (const view of document.querySelectorAll("main > .view")) view.hidden = view.id !== `view-${name}`;
  byId("tabs").hidden = byId("logout").hidden = byId("who").hidden = !session.isOpen;
  setText(byId("who"), session.isOpen ? (session.name === session.role ? session.name : `${session.name}, ${session.role}`) : "");
  for (const tab of byId("tabs").children) {
    if (tab.dataset.view === name) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  shown = name;
  const heading = document.querySelector(`#view-${name} h1`);
  document.title = name === "overview" ? "OTT risk" : `${name === "login" ? "Sign in" : heading.textContent} · OTT risk`;
  if (!session.isOpen) {
    polling.stop();
    byId("banner").hidden = true;
    void describe();
    byId("login").elements.username.focus();
    return;
  }
  if (name === "verdicts") views.verdicts.open(query);
  else views[name].open?.(argument);
  polling.start();
  scrollTo(0, 0);
  if (focus) heading.focus({ preventScroll: true });
}

addEventListener("hashchange", () => show({ focus: true }));

session.onChange((_, message) => {
  // What one person was shown is not the next one's to see.
  for (const view of Object.values(views)) view.clear?.();
  summary.clear();
  if (!session.isOpen) history.clear();
  views.overview.show();
  views.operation.show();
  sayOnLogin(message);
  show({ focus: session.isOpen });
});

// -- how old it is

let spoken = { at: 0, state: "" };

/** Every second: the age of what is shown, and a word where the worker does not answer. */
function age() {
  if (!session.isOpen) return;
  views.overview.age();
  for (const panel of views[shown]?.panels ?? []) panel.age();
  const { data, error, receivedAt } = summary;
  const banner = byId("banner");
  const cut = error?.kind === "unreachable" || summary.isStale;
  const told = cut || error?.kind === "unavailable" || error?.kind === "failed";
  banner.hidden = !told;
  banner.dataset.kind = cut ? "error" : "warning";
  if (told) {
    const what = error ? sayError(error) : "No news from the worker.";
    setText(banner, data ? `${what} What you see is of ${clock(receivedAt)}; asking again every 5 s.` : `${what} Asking again every 5 s.`);
  }
  speak(cut ? { state: "unknown", title: "The worker does not answer", why: "" } : data && !error ? standing(data) : null);
}

/** Tell screen readers when the state changes, and the figures once a minute. */
function speak(now) {
  if (!now || document.hidden) return;
  const due = Date.now() - spoken.at > SPOKEN_EVERY_MS;
  if (now.state === spoken.state && !due) return;
  spoken = { at: Date.now(), state: now.state };
  setText(byId("announcer"), `${now.title}. ${now.why}`);
}

setInterval(age, 1000);

// -- the frame

const THEMES = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" };
const MARKS = { auto: "◐", light: "☼", dark: "☾" };
const themeButton = byId("theme");

function sayTheme() {
  const { choice } = window.ottTheme;
  themeButton.replaceChildren(h("span", { "aria-hidden": "true" }, MARKS[choice]));
  themeButton.setAttribute("aria-label", `${THEMES[choice]}. Change it`);
  themeButton.title = THEMES[choice];
}

themeButton.addEventListener("click", () => {
  window.ottTheme.next();
  sayTheme();
});
byId("logout").addEventListener("click", () => session.end("You have signed out."));
byId("skip").addEventListener("click", (event) => {
  // Not a view: the address stays.
  event.preventDefault();
  byId("main").focus();
});

sayTheme();
void describe();
show();
