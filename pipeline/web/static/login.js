// Signing in: the OAuth 2 password form.
import { ask } from "./api.js";
import { byId, setText } from "./dom.js";
import { session } from "./session.js";

const form = byId("login");
const message = byId("login-message");

export function sayOnLogin(text) {
  message.hidden = !text;
  setText(message, text);
}

/** What stands on the form about this worker. */
export async function describe() {
  try {
    const about = await ask("GET", "/api", { anonymous: true });
    byId("login-demo").hidden = !about.demo;
    setText(byId("about"), `${about.name} ${about.version}${about.demo ? ", demo" : ""}`);
  } catch {
    byId("login-demo").hidden = true; // signing in will say what is wrong
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { username, password } = Object.fromEntries(new FormData(form));
  if (!username || !password) {
    sayOnLogin("Please give a name and a password.");
    form.elements[username ? "password" : "username"].focus();
    return;
  }
  const button = form.querySelector("button");
  button.disabled = true;
  sayOnLogin("");
  try {
    const answer = await ask("POST", "/token", { form: { grant_type: "password", username, password }, anonymous: true });
    form.reset();
    session.begin(username, answer);
  } catch (error) {
    const sentence = error.message.charAt(0).toUpperCase() + error.message.slice(1);
    sayOnLogin(sentence.endsWith(".") ? sentence : `${sentence}.`);
    form.elements.password.value = "";
    form.elements.password.focus();
  } finally {
    button.disabled = false;
  }
});
