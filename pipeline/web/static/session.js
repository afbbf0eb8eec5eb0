// Who is signed in. The token is kept for this tab only: it outlives a reload, not the tab.
const KEY = "ott-session";
const listeners = new Set();
let current = load();

function load() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY));
    return kept && typeof kept.token === "string" ? kept : null;
  } catch {
    return null;
  }
}

function set(session, message = "") {
  current = session;
  try {
    if (session) sessionStorage.setItem(KEY, JSON.stringify(session));
    else sessionStorage.removeItem(KEY);
  } catch {
    // storage is closed to this page: the session then ends with a reload
  }
  for (const listener of listeners) listener(session, message);
}

export const session = {
  get token() {
    return current?.token ?? null;
  },
  get name() {
    return current?.name ?? "";
  },
  get role() {
    return current?.role ?? "";
  },
  get isAdmin() {
    return current?.role === "admin";
  },
  get isOpen() {
    return current !== null;
  },
  /** Begin with the answer of POST /token. */
  begin(name, answer) {
    set({ name, token: answer.access_token, role: answer.role });
  },
  /** End, with the reason to show on the sign-in form. */
  end(message = "") {
    if (current) set(null, message);
  },
  /** Be told (session or null, message) when somebody signs in or out. */
  onChange(listener) {
    listeners.add(listener);
  },
};
