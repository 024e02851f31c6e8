// What every page shares: a menu that closes when somebody looks elsewhere.
"use strict";

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// On a narrow screen what stands beside or above the results is closed, so that they are seen.
if (window.matchMedia("(max-width: 60rem)").matches) {
  for (const box of document.querySelectorAll("details[data-narrow]:not([data-kept])")) box.open = false;
}
