// The card field. Card data goes from Stripe's own fields to Stripe; this page gets a token and sends that.
(() => {
  "use strict";
  const form = document.getElementById("checkout-form");
  if (!form) return;
  const token = form.elements.payment_method;
  const zone = form.elements.timezone;
  if (zone && !zone.value) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "";

  let stripe, elements, mountedIn, working = false;

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

  const fetchToken = async (button) => {
    busy(button, true);
    say("");
    const checked = await elements.submit();
    const made = checked.error ? checked : await stripe.createPaymentMethod({ elements, params: { billing_details: billing() } });
    busy(button, false);
    if (made.error) return say(made.error.message);
    token.value = made.paymentMethod.id;
    form.requestSubmit(button);
  };

  form.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || button.value !== "pay" || button.hasAttribute("data-no-card") || token.value) return;
    event.preventDefault();
    if (working) return;
    if (!elements) return mount();
    fetchToken(button).catch(() => {
      busy(button, false);
      say("The card could not be checked just now. Nothing was charged. Please try again.");
    });
  });

  // A token is good for one try; a page that comes back from the browser's cache starts afresh.
  window.addEventListener("pageshow", () => { token.value = ""; });
  document.addEventListener("htmx:afterSettle", () => {
    mount();
    if (elements && mountedIn === document.getElementById("card-element")) elements.update(terms());
  });
  mount();
})();
