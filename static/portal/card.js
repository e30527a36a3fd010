// The card field. Card data goes from Stripe's own fields to Stripe; this page gets a token and sends that.
(() => {
  "use strict";
  const form = document.getElementById("card-form");
  const place = document.getElementById("card-element");
  if (!form || !place) return;
  const token = form.elements.payment_method;
  let stripe, elements, working = false;

  const say = (text) => { document.getElementById("card-error").textContent = text || ""; };

  const mount = () => {
    if (!window.Stripe) {
      say("The card form could not be loaded. Please check your connection, or a blocker in your browser, and reload the page.");
      return;
    }
    const radius = getComputedStyle(document.documentElement).getPropertyValue("--r-md").trim() || "8px";
    stripe = window.Stripe(place.dataset.key);
    // With an amount the card is charged that once; without one it is saved for later charges, and the field says so.
    const use = place.dataset.amount
      ? { mode: "payment", amount: Number(place.dataset.amount) } : { mode: "setup", setupFutureUsage: "off_session" };
    elements = stripe.elements({
      ...use, currency: place.dataset.currency, paymentMethodTypes: ["card"], paymentMethodCreation: "manual",
      appearance: { variables: { fontSizeBase: "16px", borderRadius: radius } },
    });
    elements.create("payment", {
      fields: { billingDetails: { address: "never" } }, wallets: { applePay: "never", googlePay: "never" },
    }).mount(place);
  };

  const billing = () => ({
    name: place.dataset.name || undefined, email: place.dataset.email || undefined,
    address: { line1: "", line2: "", city: "", state: "", postal_code: "", country: place.dataset.country || "" },
  });

  const fetchToken = async (button) => {
    const checked = await elements.submit();
    const made = checked.error ? checked : await stripe.createPaymentMethod({ elements, params: { billing_details: billing() } });
    if (made.error) return say(made.error.type === "validation_error" ? "" : made.error.message); // the card's fields say it themselves
    token.value = made.paymentMethod.id;
    form.requestSubmit(button);
  };

  form.addEventListener("submit", (event) => {
    if (token.value) return;
    event.preventDefault();
    if (working) return;
    if (!elements) return mount();
    const button = event.submitter;
    working = true;
    say("");
    if (button) button.setAttribute("aria-busy", "true");
    fetchToken(button)
      .catch(() => say("The card could not be checked just now. Nothing was charged. Please try again."))
      .finally(() => {
        working = false;
        if (button && !token.value) button.removeAttribute("aria-busy");
      });
  });

  // A token is good for one try; a page that comes back from the browser's cache starts afresh.
  window.addEventListener("pageshow", () => { token.value = ""; });
  mount();
})();
