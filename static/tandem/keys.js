// Keys for a list: j and k walk its rows, Enter opens one, / searches, ? says so. They rest while somebody types,
// and can be switched off in the same help, since single letters get in the way of speech input.
(() => {
  "use strict";
  const help = document.getElementById("keys");
  if (!help) return;
  const OFF = "tandem.keys.off";
  const off = () => localStorage.getItem(OFF) === "1";
  const rows = () => [...document.querySelectorAll("#result_list tbody th a, #result_list tbody tr > td:first-child a")];
  const step = (by) => {
    const all = rows();
    const at = all.indexOf(document.activeElement);
    const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)];
    if (next) next.focus();
  };
  const acts = {
    j: () => step(1),
    k: () => step(-1),
    "/": () => document.getElementById("searchbar")?.focus(),
    "?": () => help.showModal(),
  };
  const busy = (target) => target.closest("input, textarea, select, [contenteditable], dialog");
  document.addEventListener("keydown", (event) => {
    const act = acts[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey || busy(event.target)) return;
    if (off() && event.key !== "?") return;
    event.preventDefault();
    act();
  });

  const box = help.querySelector("[name=keys]");
  box.checked = !off();
  box.addEventListener("change", () => localStorage.setItem(OFF, box.checked ? "0" : "1"));
  document.querySelectorAll("[data-keys]").forEach((button) => button.addEventListener("click", () => help.showModal()));
})();
