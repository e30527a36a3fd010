// Conveniences only: every page does its work without this file.
(() => {
  "use strict";
  const on = (type, selector, act) =>
    document.addEventListener(type, (event) => {
      const hit = event.target instanceof Element && event.target.closest(selector);
      if (hit) act(hit, event);
    });

  // A form is sent once: the pressed button shows that it works and refuses a second press.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.submitting) return event.preventDefault();
    if (event.defaultPrevented || form.method === "get" || form.hasAttribute("data-again")) return;
    form.dataset.submitting = "1";
    const button = event.submitter || form.querySelector("[type=submit]");
    if (button) button.setAttribute("aria-busy", "true");
  });
  const release = () => {
    document.querySelectorAll("form[data-submitting]").forEach((form) => delete form.dataset.submitting);
    document.querySelectorAll("form [aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
  };
  window.addEventListener("pageshow", release);
  document.addEventListener("htmx:afterRequest", release);

  // Minus and plus beside a number.
  on("click", "[data-step]", (button) => {
    const input = button.parentElement.querySelector("input");
    if (Number(button.dataset.step) > 0) input.stepUp();
    else input.stepDown();
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });

  on("change", "[data-autosubmit]", (control) => control.form.requestSubmit());

  on("click", "[data-copy]", async (button) => {
    await navigator.clipboard.writeText(button.dataset.copy);
    const label = button.querySelector("[data-copy-label]") || button;
    const before = label.textContent;
    label.textContent = button.dataset.copied || "Copied";
    setTimeout(() => (label.textContent = before), 1600);
  });

  on("click", "[data-print]", () => window.print());

  // Menus close when the attention goes elsewhere.
  const menus = "details.menu[open], details.more[open]";
  document.addEventListener("click", (event) => {
    document.querySelectorAll(menus).forEach((menu) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    document.querySelectorAll(menus).forEach((menu) => {
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });

  // After a refused form, the first field to mend has the focus.
  const wrong = document.querySelector("[aria-invalid=true]");
  if (wrong && !document.querySelector("[autofocus]")) wrong.focus({ preventScroll: false });
})();
