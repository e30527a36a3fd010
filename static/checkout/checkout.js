// The card field. Card data goes from Stripe's own fields to Stripe; this page gets a token and sends that.
(() => {
  "use strict";
  const form = document.getElementById("checkout-form");
  if (!form) return;
  const token = form.elements.payment_method;
  const zone = form.elements.timezone;
  if (zone && !zone.value) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "";

  let stripe, elements, mountedIn, working = false, ready = false;

  // A card that is saved needs none of its fields.
  const typed = () => { const chosen = form.elements.saved_card; return !chosen || chosen.value === "another"; };

  const say = (text) => {
    const place = document.getElementById("card-error");
    if (place) place.textContent = text || "";
  };

  const terms = () => {
    const place = document.getElementById("card-element");
    const expected = document.querySelector("[name=expected]");
    const amount = Number(expected ? expected.value : place.dataset.amount);
    const shared = { currency: place.dataset.currency };
    return amount > 0 ? { mode: "payment", amount, ...shared } : { mode: "setup", ...shared };
  };

  const look = () => {
    const css = getComputedStyle(document.documentElement);
    const value = (name) => css.getPropertyValue(name).trim();
    return { variables: { fontSizeBase: "16px", borderRadius: value("--r-md") || "8px" } };
  };

  const mount = () => {
    const place = document.getElementById("card-element");
    if (!place || place === mountedIn) return;
    if (!window.Stripe) {
      say("The card form could not be loaded. Please check your connection, or a blocker in your browser, and reload the page.");
      return;
    }
    stripe = stripe || window.Stripe(place.dataset.key);
    elements = stripe.elements({
      ...terms(), paymentMethodTypes: ["card"], paymentMethodCreation: "manual", setupFutureUsage: "off_session", appearance: look(),
    });
    elements.create("payment", {
      fields: { billingDetails: { address: "never" } }, wallets: { applePay: "never", googlePay: "never" },
    }).mount(place);
    mountedIn = place;
  };

  const billing = () => {
    const value = (name) => (form.elements[name] ? form.elements[name].value : "");
    return {
      name: value("name") || value("company") || undefined,
      email: value("email") || undefined,
      address: {
        line1: value("line1"), line2: value("line2"), city: value("city"), state: value("state"),
        postal_code: value("postal_code"), country: value("country"),
      },
    };
  };

  const busy = (button, on) => {
    working = on;
    if (on) button.setAttribute("aria-busy", "true");
    else button.removeAttribute("aria-busy");
  };

  // The total may still be on its way back when the button is pressed: nobody pays more than what they saw.
  let asking = 0;
  document.addEventListener("htmx:beforeRequest", () => { asking += 1; });
  document.addEventListener("htmx:afterRequest", () => { asking -= 1; });
  const settled = async () => {
    const pause = () => new Promise((done) => setTimeout(done, 60));
    for (let tries = 0; tries < 100; tries += 1) {
      await pause();
      if (asking < 1) {
        await pause();
        if (asking < 1) return;
      }
    }
  };
  const due = () => Number((document.querySelector("[name=expected]") || {}).value || 0);

  // What is missing is said beside its field, together with what the card lacks: a page from the server would empty the card.
  const unmark = (field) => {
    if (!field.dataset.missing) return;
    delete field.dataset.missing;
    field.removeAttribute("aria-invalid");
    field.setAttribute("aria-describedby", (field.getAttribute("aria-describedby") || "").replace(`${field.id}_missing`, "").trim());
    document.getElementById(`${field.id}_missing`).remove();
  };
  const mark = (field) => {
    const words = document.createElement("p");
    words.className = "field__error";
    words.id = `${field.id}_missing`;
    words.textContent = field.validationMessage;
    field.closest(".field").append(words);
    field.dataset.missing = "1";
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", `${field.getAttribute("aria-describedby") || ""} ${words.id}`.trim());
  };
  const missing = () => {
    const own = [...form.elements].filter((field) => field.id && field.willValidate && field.closest(".field"));
    own.forEach(unmark);
    const wrong = own.filter((field) => !field.validity.valid);
    wrong.forEach(mark);
    return wrong;
  };
  form.addEventListener("input", (event) => unmark(event.target));

  // The button may be replaced while it is pressed, or while the card is checked: the order goes on in another way by then.
  const replaced = (button) => {
    if (button.isConnected) return false;
    say("Your last entry has changed how this order goes on. Nothing was charged. Please look at it, and press the button again.");
    document.getElementById("pay").focus();
    return true;
  };
  let pressed = null;
  document.addEventListener("pointerdown", (event) => { pressed = event.target.closest("#pay"); });
  document.addEventListener("pointerup", () => { if (pressed) replaced(pressed); });

  const submit = async (button) => {
    const seen = due();
    const [first] = missing();
    busy(button, true);
    say("");
    const checked = typed() ? await elements.submit() : {};
    if (first) {
      busy(button, false);
      return replaced(button) || first.focus();
    }
    const made = checked.error || !typed() ? checked : await stripe.createPaymentMethod({ elements, params: { billing_details: billing() } });
    await settled();
    busy(button, false);
    if (replaced(button)) return;
    if (made.error) return say(made.error.type === "validation_error" ? "" : made.error.message); // the card's fields say it themselves
    if (due() > seen) return say("The total has changed with your last entry. Please look at it, and press the button again.");
    token.value = made.paymentMethod ? made.paymentMethod.id : "";
    ready = true;
    form.requestSubmit(button);
  };

  form.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || button.value !== "pay" || button.hasAttribute("data-no-card") || ready) return;
    event.preventDefault();
    if (working) return;
    if (typed() && !elements) return mount();
    submit(button).catch(() => {
      busy(button, false);
      if (!replaced(button)) say("The card could not be checked just now. Nothing was charged. Please try again.");
    });
  });

  // The return key in the field of the code applies the code; it would pay.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.id !== "id_promotion_code") return;
    event.preventDefault();
    event.target.blur(); // the browser tells of the change
    event.target.focus();
  });

  // A new country brings other labels; what was typed meanwhile, and where, stays.
  let typing = null;
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const at = document.activeElement;
    typing = at && at.id && form.contains(at) ? at.id : null;
    event.detail.fragment.querySelectorAll("input[id]").forEach((fresh) => {
      const now = document.getElementById(fresh.id);
      if (now && now.type === "text" && now.value) fresh.value = now.value;
    });
  });
  document.addEventListener("htmx:oobAfterSwap", () => {
    const place = typing && document.getElementById(typing);
    if (place && place !== document.activeElement) place.focus();
  });

  // A token is good for one try; a page that comes back from the browser's cache starts afresh.
  window.addEventListener("pageshow", () => { token.value = ""; ready = false; });
  document.addEventListener("htmx:afterSettle", () => {
    mount();
    if (elements && mountedIn === document.getElementById("card-element")) elements.update(terms());
  });
  mount();
})();
