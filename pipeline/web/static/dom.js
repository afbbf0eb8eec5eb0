// Making elements. Text is always text: nothing that was received is ever read as markup.

/** An element with properties, attributes and children: `h("a.more", { href: "#/" }, "More")`. */
export function h(name, ...rest) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const part of rest) add(element, part);
  return element;
}

function add(element, part) {
  if (part === null || part === undefined || part === false) return;
  if (Array.isArray(part)) {
    for (const one of part) add(element, one);
  } else if (part instanceof Node) {
    element.append(part);
  } else if (typeof part === "object") {
    for (const [key, value] of Object.entries(part)) setOne(element, key, value);
  } else {
    element.append(String(part));
  }
}

function setOne(element, key, value) {
  if (value === null || value === undefined || value === false) return;
  if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
  else if (key === "data") Object.assign(element.dataset, value);
  else element.setAttribute(key, value === true ? "" : value);
}

export const byId = (id) => document.getElementById(id);

/** Set a text only where it differs, so that screen readers are not told twice. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Make the children of `parent` those of `items`, keeping the elements of keys that stay: focus and selection stay too.
 * One that has the focus stays, at the end, also where its item is gone.
 *
 * @param {(item: unknown) => string} key
 * @param {(item: unknown) => Element} make
 */
export function keep(parent, items, key, make) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let element = old.get(name);
    if (element) old.delete(name);
    else {
      element = make(item);
      element.dataset.key = name;
    }
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const element of old.values()) if (!element.contains(document.activeElement)) element.remove();
}

/** A bar of a length between 0 and 1 (set by script: the page's policy allows no style attributes). */
export function bar(share, ...rest) {
  const fill = h("span.fill", ...rest);
  fill.style.inlineSize = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return h("span.bar", { "aria-hidden": "true" }, fill);
}

export function table(headings, rows, caption) {
  return [
    caption ? h("caption.unseen", caption) : null,
    h("thead", h("tr", headings.map((heading) => cell("th", heading, { scope: "col" })))),
    h("tbody", rows.map((row) => h("tr", row.map((value) => cell("td", value))))),
  ].filter(Boolean);
}

function cell(tag, value, more = {}) {
  const isNumber = value !== null && typeof value === "object" && "number" in value;
  return h(isNumber ? `${tag}.number` : tag, more, isNumber ? value.number : value);
}

/** A value of `table` that is set as a number: to the right, with digits of one width. */
export const number = (text) => ({ number: text });
