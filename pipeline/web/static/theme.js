// The colour theme: the system's, or the one that was chosen on this machine. Runs before the first paint.
(() => {
  "use strict";
  const KEY = "ott-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");

  const chosen = () => {
    try {
      const value = localStorage.getItem(KEY);
      return value === "light" || value === "dark" ? value : "auto";
    } catch {
      return "auto"; // storage is closed to this page; the choice then lasts as long as the page
    }
  };

  let choice = chosen();
  const apply = () => {
    const dark = choice === "dark" || (choice === "auto" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    document.dispatchEvent(new CustomEvent("theme"));
  };

  system.addEventListener("change", apply);
  window.ottTheme = {
    get choice() {
      return choice;
    },
    next() {
      choice = { auto: "light", light: "dark", dark: "auto" }[choice];
      try {
        if (choice === "auto") localStorage.removeItem(KEY);
        else localStorage.setItem(KEY, choice);
      } catch {
        // as above
      }
      apply();
      return choice;
    },
  };
  apply();
})();
