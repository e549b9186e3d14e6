/*
 * The theme, before the first paint: a classic script in the head, because a module would come too late and a dark room
 * would flash white. The system's wish counts until somebody presses the button; then theirs does, in every tab.
 */
"use strict";
(() => {
  const KEY = "paceline.theme";
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  const chosen = () => {
    try {
      return localStorage.getItem(KEY);
    } catch (refused) {
      console.info("the theme is not remembered: this browser refuses storage", refused);
      return null;
    }
  };
  const apply = () => {
    const choice = chosen();
    const theme = choice === "dark" || choice === "light" ? choice : system.matches ? "dark" : "light";
    root.dataset.theme = theme;
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.setAttribute("aria-pressed", String(theme === "dark"));
    }
    document.dispatchEvent(new CustomEvent("paceline:theme", { detail: theme }));
  };

  apply();
  system.addEventListener("change", apply);
  window.addEventListener("storage", (event) => event.key === KEY && apply());
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.addEventListener("click", () => {
        const next = root.dataset.theme === "dark" ? "light" : "dark";
        try {
          localStorage.setItem(KEY, next);
          apply();
        } catch (refused) {
          console.info("the theme holds for this page only: this browser refuses storage", refused);
          root.dataset.theme = next;
        }
      });
    }
  });
})();
