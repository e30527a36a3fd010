/* The sandbox's stand-in for Stripe.js: the part of its API that Tandem's pages use, with the same promises.
   Card data goes from these fields to the stand-in's own address and nowhere else: the fields have no name and
   belong to no form. Load with <script src=".../stripe.js" data-api-base="/fakestripe">; stripe.css beside it. */
(function () {
  "use strict";

  var script = document.currentScript;
  var API = ((script && script.dataset.apiBase) || "/fakestripe").replace(/\/$/, "");
  var counter = 0;

  // -- Cards ------------------------------------------------------------------------------------------
  var BRANDS = [
    { name: "amex", label: "Amex", start: /^3[47]/, lengths: [15], cvc: 4, gaps: [4, 10] },
    { name: "mastercard", label: "Mastercard", start: /^(5[1-5]|2[2-7])/, lengths: [16], cvc: 3, gaps: [4, 8, 12] },
    { name: "visa", label: "Visa", start: /^4/, lengths: [16], cvc: 3, gaps: [4, 8, 12] },
    { name: "discover", label: "Discover", start: /^6(011|4|5)/, lengths: [16], cvc: 3, gaps: [4, 8, 12] },
    { name: "diners", label: "Diners", start: /^3(0|6|8)/, lengths: [14, 16], cvc: 3, gaps: [4, 10] },
    { name: "jcb", label: "JCB", start: /^35/, lengths: [16], cvc: 3, gaps: [4, 8, 12] },
    { name: "unionpay", label: "UnionPay", start: /^62/, lengths: [16, 17, 18, 19], cvc: 3, gaps: [4, 8, 12, 16] }
  ];
  var UNKNOWN = { name: "unknown", label: "", lengths: [16], cvc: 3, gaps: [4, 8, 12] };
  var SAMPLES = [
    ["4242424242424242", "Pays"],
    ["4000002500003155", "Asks for 3-D Secure"],
    ["4000000000009995", "No funds"],
    ["4000000000000002", "Declined"],
    ["4000000000000341", "Saved, then declined"]
  ];
  var WORDS = {
    incomplete_number: "Your card number is incomplete.",
    invalid_number: "Your card number is invalid.",
    incomplete_expiry: "Your card's expiration date is incomplete.",
    invalid_expiry_month_past: "Your card's expiration date is in the past.",
    invalid_expiry_year: "Your card's expiration year is invalid.",
    incomplete_cvc: "Your card's security code is incomplete.",
    incomplete_zip: "Your postal code is incomplete."
  };

  function digits(text) { return text.replace(/\D/g, ""); }

  function brandOf(number) {
    for (var i = 0; i < BRANDS.length; i++) { if (BRANDS[i].start.test(number)) { return BRANDS[i]; } }
    return UNKNOWN;
  }

  function passesLuhn(number) {
    var sum = 0;
    for (var i = 0; i < number.length; i++) {
      var digit = Number(number[number.length - 1 - i]) * (i % 2 ? 2 : 1);
      sum += digit > 9 ? digit - 9 : digit;
    }
    return sum % 10 === 0;
  }

  function spaced(number, gaps) {
    var out = "";
    for (var i = 0; i < number.length; i++) { out += (gaps.indexOf(i) >= 0 ? " " : "") + number[i]; }
    return out;
  }

  // -- One field: format, check, error ----------------------------------------------------------------
  var FIELDS = {
    number: {
      label: "Card number", placeholder: "1234 1234 1234 1234", mode: "numeric",
      format: function (text) {
        var plain = digits(text), brand = brandOf(plain);
        return spaced(plain.slice(0, Math.max.apply(null, brand.lengths)), brand.gaps);
      },
      check: function (text) {
        var plain = digits(text), brand = brandOf(plain);
        if (brand.lengths.indexOf(plain.length) < 0) { return "incomplete_number"; }
        return passesLuhn(plain) ? "" : "invalid_number";
      }
    },
    expiry: {
      label: "Expiry date", placeholder: "MM / YY", mode: "numeric",
      format: function (text, removing) {
        var plain = digits(text).slice(0, 4);
        if (plain.length === 1 && plain > "1") { plain = "0" + plain; }
        if (plain.slice(0, 2) > "12") { plain = "0" + plain.slice(0, 3); }
        if (plain.length < 2 || (removing && plain.length === 2)) { return plain; }
        return plain.slice(0, 2) + " / " + plain.slice(2);
      },
      check: function (text) {
        var plain = digits(text), today = new Date();
        if (plain.length < 4 || plain.slice(0, 2) === "00") { return "incomplete_expiry"; }
        var month = Number(plain.slice(0, 2)), year = 2000 + Number(plain.slice(2));
        if (year > today.getFullYear() + 50) { return "invalid_expiry_year"; }
        var past = year * 12 + month < today.getFullYear() * 12 + today.getMonth() + 1;
        return past ? "invalid_expiry_month_past" : "";
      }
    },
    cvc: {
      label: "Security code", placeholder: "CVC", mode: "numeric",
      format: function (text, removing, form) { return digits(text).slice(0, form.brand().cvc); },
      check: function (text, form) { return digits(text).length === form.brand().cvc ? "" : "incomplete_cvc"; }
    },
    postal: {
      label: "Postal code", placeholder: "90210", mode: "text",
      format: function (text) { return text.slice(0, 10); },
      check: function (text) { return text.trim().length >= 3 ? "" : "incomplete_zip"; }
    }
  };

  function element(tag, className, text) {
    var node = document.createElement(tag);
    if (className) { node.className = className; }
    if (text) { node.textContent = text; }
    return node;
  }

  function Field(name, form) {
    var self = this, kind = FIELDS[name], id = "fakestripe-" + name + "-" + ++counter;
    this.name = name;
    this.kind = kind;
    this.form = form;
    this.touched = false;
    this.node = element("div", "fakestripe-field fakestripe-field--" + name);
    var label = element("label", "fakestripe-label", kind.label);
    label.htmlFor = id;
    this.input = element("input", "fakestripe-input");
    this.input.id = id;
    this.input.type = "text";
    this.input.inputMode = kind.mode;
    this.input.placeholder = kind.placeholder;
    this.input.autocomplete = "off";
    this.input.spellcheck = false;
    this.input.setAttribute("form", "fakestripe-belongs-to-no-form");
    this.input.setAttribute("aria-describedby", id + "-error");
    this.error = element("p", "fakestripe-error");
    this.error.id = id + "-error";
    this.error.hidden = true;
    this.node.append(label, this.input, this.error);
    this.input.addEventListener("input", function (event) { self.typed(event); });
    this.input.addEventListener("focus", function () { form.tell("focus", { elementType: form.type }); });
    this.input.addEventListener("blur", function () { self.left(); });
    this.input.addEventListener("keydown", function (event) { self.pressed(event); });
  }

  Field.prototype.typed = function (event) {
    var removing = /^delete/.test((event && event.inputType) || "");
    this.setValue(this.input.value, removing, this.input.selectionStart);
    if (!this.error.hidden) { this.show(this.check()); }
    this.form.changed();
    var full = !removing && !this.check() && this.input.selectionStart === this.input.value.length;
    if (full && document.activeElement === this.input) { this.form.focusAfter(this); }
  };

  // Keep the caret behind the same digit that it stood behind before the text was grouped.
  Field.prototype.setValue = function (text, removing, caret) {
    var before = caret === undefined ? null : digits(text.slice(0, caret)).length;
    var atEnd = caret === undefined || caret === text.length;
    this.input.value = this.kind.format(text, removing, this.form);
    if (atEnd || document.activeElement !== this.input) { return; }
    var place = 0;
    for (var seen = 0; place < this.input.value.length && seen < before; place++) {
      if (/\d/.test(this.input.value[place])) { seen++; }
    }
    this.input.setSelectionRange(place, place);
  };

  Field.prototype.left = function () {
    if (this.input.value) { this.touched = true; this.show(this.check()); }
    this.form.tell("blur", { elementType: this.form.type });
  };

  Field.prototype.pressed = function (event) {
    if (event.key === "Enter") {
      var owner = this.node.closest("form");
      if (owner) { event.preventDefault(); owner.requestSubmit(); }
    }
    if (event.key === "Escape") { this.form.tell("escape", { elementType: this.form.type }); }
  };

  Field.prototype.check = function () { return this.kind.check(this.input.value, this.form); };

  Field.prototype.show = function (code, message) {
    var text = message || (code ? WORDS[code] || code : "");
    this.error.textContent = text;
    this.error.hidden = !text;
    if (text) { this.input.setAttribute("aria-invalid", "true"); } else { this.input.removeAttribute("aria-invalid"); }
  };

  // -- The card form (a `payment` or `card` element) --------------------------------------------------
  function CardForm(type, options) {
    this.type = type;
    this.options = options || {};
    this.listeners = {};
    this.node = null;
    this.place = null;
    this.fields = this.names().map(function (name) { return new Field(name, this); }, this);
  }

  CardForm.prototype.names = function () {
    var details = (this.options.fields && this.options.fields.billingDetails) || {};
    var address = details === "never" ? "never" : details.address;
    var never = address === "never" || (address && address.postalCode === "never") || this.options.hidePostalCode;
    return never ? ["number", "expiry", "cvc"] : ["number", "expiry", "cvc", "postal"];
  };

  CardForm.prototype.field = function (name) {
    return this.fields.filter(function (field) { return field.name === name; })[0];
  };

  CardForm.prototype.brand = function () {
    var number = this.field("number");
    return brandOf(number ? digits(number.input.value) : "");
  };

  CardForm.prototype.mount = function (where) {
    this.place = typeof where === "string" ? document.querySelector(where) : where;
    if (!this.place) { throw new Error("There is nothing at " + where + " to mount the card form in."); }
    this.place.textContent = "";
    this.place.append(this.build());
    this.place.classList.add("StripeElement", "StripeElement--empty");
    var self = this;
    setTimeout(function () { self.tell("ready", { elementType: self.type }); }, 0);
    return this;
  };

  CardForm.prototype.build = function () {
    this.node = element("div", "fakestripe-card");
    this.node.setAttribute("role", "group");
    this.node.setAttribute("aria-label", "Card details");
    var grid = element("div", "fakestripe-grid fakestripe-grid--" + this.fields.length);
    this.fields.forEach(function (field) { grid.append(field.node); });
    this.badge = element("span", "fakestripe-brand");
    this.badge.setAttribute("aria-hidden", "true");
    this.field("number").node.append(this.badge);
    this.node.append(grid, this.hints());
    return this.node;
  };

  CardForm.prototype.hints = function () {
    var self = this, box = element("details", "fakestripe-hints");
    box.append(element("summary", "", "Test mode: use a test card"));
    var list = element("div", "fakestripe-samples");
    SAMPLES.forEach(function (sample) {
      var button = element("button", "fakestripe-sample");
      button.type = "button";
      button.append(element("span", "fakestripe-sample__number", spaced(sample[0], [4, 8, 12])));
      button.append(element("span", "fakestripe-sample__note", sample[1]));
      button.addEventListener("click", function () { self.fill(sample[0]); });
      list.append(button);
    });
    box.append(list);
    return box;
  };

  CardForm.prototype.fill = function (number) {
    var values = { number: number, expiry: "12" + String(new Date().getFullYear() + 3).slice(2), cvc: "123", postal: "90210" };
    this.fields.forEach(function (field) { field.setValue(values[field.name]); field.show(""); });
    this.changed();
  };

  CardForm.prototype.focusAfter = function (field) {
    var next = this.fields[this.fields.indexOf(field) + 1];
    if (next && !next.input.value) { next.input.focus(); }
  };

  CardForm.prototype.state = function () {
    var empty = this.fields.every(function (field) { return !field.input.value; });
    var wrong = this.fields.filter(function (field) { return field.check(); })[0];
    return { empty: empty, complete: !wrong };
  };

  CardForm.prototype.changed = function () {
    var state = this.state(), brand = this.brand();
    this.badge.textContent = brand.label;
    this.place.classList.toggle("StripeElement--empty", state.empty);
    this.place.classList.toggle("StripeElement--complete", state.complete);
    var shown = this.fields.filter(function (field) { return !field.error.hidden; })[0];
    this.place.classList.toggle("StripeElement--invalid", Boolean(shown));
    this.tell("change", {
      elementType: this.type, empty: state.empty, complete: state.complete, brand: brand.name, value: { type: "card" },
      error: shown ? { type: "validation_error", code: shown.check(), message: shown.error.textContent } : undefined
    });
  };

  CardForm.prototype.validate = function () {
    var first = null;
    this.fields.forEach(function (field) {
      var code = field.check();
      field.show(code);
      if (code && !first) { first = { type: "validation_error", code: code, message: WORDS[code], field: field }; }
    });
    if (first) { first.field.input.focus(); delete first.field; }
    if (this.place) { this.place.classList.toggle("StripeElement--invalid", Boolean(first)); }
    return first;
  };

  CardForm.prototype.explain = function (error) {
    var fields = { number: "number", exp_month: "expiry", exp_year: "expiry", cvc: "cvc" };
    var field = this.field(fields[error.param] || "");
    if (field) { field.show("", error.message); field.input.focus(); }
  };

  CardForm.prototype.data = function (billing) {
    var expiry = digits(this.field("expiry").input.value), postal = this.field("postal");
    var details = Object.assign({}, billing || {});
    if (postal) { details.address = Object.assign({ postal_code: postal.input.value.trim() }, details.address || {}); }
    return {
      type: "card",
      card: {
        number: digits(this.field("number").input.value), cvc: digits(this.field("cvc").input.value),
        exp_month: Number(expiry.slice(0, 2)), exp_year: 2000 + Number(expiry.slice(2))
      },
      billing_details: details
    };
  };

  CardForm.prototype.on = function (name, listener) {
    (this.listeners[name] = this.listeners[name] || []).push(listener);
    return this;
  };
  CardForm.prototype.once = function (name, listener) {
    var self = this;
    function only(event) { self.off(name, only); listener(event); }
    return this.on(name, only);
  };
  CardForm.prototype.off = function (name, listener) {
    this.listeners[name] = (this.listeners[name] || []).filter(function (one) { return listener && one !== listener; });
    return this;
  };
  CardForm.prototype.tell = function (name, event) {
    (this.listeners[name] || []).slice().forEach(function (listener) { listener(event); });
  };
  CardForm.prototype.update = function (options) { Object.assign(this.options, options); };
  CardForm.prototype.focus = function () { this.fields[0].input.focus(); };
  CardForm.prototype.blur = function () { if (document.activeElement) { document.activeElement.blur(); } };
  CardForm.prototype.clear = function () {
    this.fields.forEach(function (field) { field.input.value = ""; field.show(""); });
    this.changed();
  };
  CardForm.prototype.unmount = function () { if (this.node) { this.node.remove(); } };
  CardForm.prototype.destroy = CardForm.prototype.unmount;
  CardForm.prototype.collapse = function () {};

  // -- Elements ---------------------------------------------------------------------------------------
  function Elements(options) { this.options = options || {}; this.made = {}; }
  Elements.prototype.create = function (type, options) {
    if (type !== "payment" && type !== "card") { throw new Error("The sandbox has `payment` and `card` elements, no `" + type + "`."); }
    this.made[type] = new CardForm(type, options);
    return this.made[type];
  };
  Elements.prototype.getElement = function (type) { return this.made[type] || null; };
  Elements.prototype.update = function (options) { Object.assign(this.options, options); };
  Elements.prototype.fetchUpdates = function () { return Promise.resolve({}); };
  Elements.prototype.submit = function () {
    var error = this.card().validate();
    return Promise.resolve(error ? { error: error } : { selectedPaymentMethod: "card" });
  };
  Elements.prototype.card = function () {
    var card = this.made.payment || this.made.card;
    if (!card) { throw new Error("Create and mount a payment element first."); }
    return card;
  };

  // -- Talking to the stand-in ------------------------------------------------------------------------
  function encode(value, name, into) {
    if (value === undefined || value === null) { return into; }
    if (typeof value === "object") {
      Object.keys(value).forEach(function (key) { encode(value[key], name ? name + "[" + key + "]" : key, into); });
    } else { into.append(name, String(value)); }
    return into;
  }

  function call(key, method, path, params) {
    var body = encode(params || {}, "", new URLSearchParams());
    var options = { method: method, credentials: "omit", headers: { Authorization: "Bearer " + key } };
    var address = API + path;
    if (method === "GET") { address += "?" + body; } else { options.body = body; }
    return fetch(address, options).then(function (answer) { return answer.json(); }).then(
      function (told) { return told.error ? { error: told.error } : { row: told }; },
      function () {
        var message = "We are experiencing issues connecting to our payments provider. Please check your internet connection and try again.";
        return { error: { type: "api_connection_error", message: message } };
      }
    );
  }

  function kindOf(clientSecret) {
    var id = String(clientSecret || "").split("_secret_")[0];
    if (/^pi_/.test(id)) { return { id: id, path: "/v1/payment_intents/" + id, name: "paymentIntent", query: "payment_intent" }; }
    if (/^seti_/.test(id)) { return { id: id, path: "/v1/setup_intents/" + id, name: "setupIntent", query: "setup_intent" }; }
    throw new Error("clientSecret is not the client secret of a PaymentIntent or SetupIntent.");
  }

  // -- 3-D Secure in a dialogue -----------------------------------------------------------------------
  function askInDialog(intent) {
    return new Promise(function (resolve) {
      var box = element("dialog", "fakestripe-dialog"), title = element("h2", "fakestripe-dialog__title", "3-D Secure test page");
      title.id = "fakestripe-dialog-" + ++counter;
      box.setAttribute("aria-labelledby", title.id);
      box.append(title, element("p", "", "A real bank would now ask the card holder to confirm. This sandbox asks you how that ends."));
      var buttons = element("div", "fakestripe-dialog__buttons");
      [["complete", "Complete"], ["fail", "Fail"]].forEach(function (choice) {
        var button = element("button", "fakestripe-button fakestripe-button--" + choice[0], choice[1]);
        button.type = "button";
        button.addEventListener("click", function () { box.close(); box.remove(); resolve(choice[0]); });
        buttons.append(button);
      });
      box.append(buttons);
      box.addEventListener("cancel", function () { box.remove(); resolve("fail"); });
      document.body.append(box);
      box.showModal();
    });
  }

  function Stripe(key, options) {
    if (!/^pk_test_[A-Za-z0-9]{24,}$/.test(key || "")) {
      throw new Error("The sandbox takes a test publishable key (pk_test_ and 24 or more characters) only.");
    }
    var secrets = {};

    function result(kind, answer) {
      var out = {};
      if (answer.error) { out.error = answer.error; } else { out[kind.name] = answer.row; }
      return out;
    }

    function follow(kind, secret, answer) {
      var next = answer.row && answer.row.status === "requires_action" ? answer.row.next_action : null;
      if (!next) { return Promise.resolve(answer); }
      if (next.type === "redirect_to_url") { window.location.assign(next.redirect_to_url.url); return new Promise(function () {}); }
      return askInDialog(answer.row).then(function (outcome) {
        return call(key, "POST", "/v1/sandbox/authentications/" + kind.id, { client_secret: secret, outcome: outcome });
      }).then(function (after) {
        var failure = after.row && (after.row.last_payment_error || after.row.last_setup_error);
        return failure ? { error: failure } : after;
      });
    }

    function leave(kind, secret, url, answer) {
      var way = new URL(url, window.location.href);
      way.searchParams.set(kind.query, kind.id);
      way.searchParams.set(kind.query + "_client_secret", secret);
      way.searchParams.set("redirect_status", answer.error ? "failed" : "succeeded");
      window.location.assign(way.href);
      return new Promise(function () {});
    }

    function confirm(input) {
      var elements = input.elements, secret = input.clientSecret || (elements && elements.options.clientSecret);
      var kind = kindOf(secret), params = Object.assign({}, input.confirmParams || {});
      var billing = (params.payment_method_data || {}).billing_details;
      delete params.payment_method_data;
      if (elements) {
        var wrong = elements.card().validate();
        if (wrong) { return Promise.resolve({ error: wrong }); }
        params.payment_method_data = elements.card().data(billing);
      }
      params.client_secret = secret;
      params.use_stripe_sdk = true;
      return call(key, "POST", kind.path + "/confirm", params).then(function (answer) {
        if (answer.error && elements) { elements.card().explain(answer.error); }
        return follow(kind, secret, answer);
      }).then(function (answer) {
        if (answer.error || input.redirect === "if_required" || !params.return_url) { return result(kind, answer); }
        return leave(kind, secret, params.return_url, answer);
      });
    }

    function confirmWith(secret, data) {
      var given = (data && data.payment_method) || {}, kind = kindOf(secret), params = {};
      if (typeof given === "string") { params.payment_method = given; }
      if (given.card instanceof CardForm) {
        var wrong = given.card.validate();
        if (wrong) { return Promise.resolve({ error: wrong }); }
        params.payment_method_data = given.card.data(given.billing_details);
      }
      params.client_secret = secret;
      params.use_stripe_sdk = true;
      return call(key, "POST", kind.path + "/confirm", params)
        .then(function (answer) { return follow(kind, secret, answer); })
        .then(function (answer) { return result(kind, answer); });
    }

    function next(secret) {
      var kind = kindOf(secret);
      return call(key, "GET", kind.path, { client_secret: secret })
        .then(function (answer) { return follow(kind, secret, answer); })
        .then(function (answer) { return result(kind, answer); });
    }

    function retrieve(secret) {
      var kind = kindOf(secret);
      return call(key, "GET", kind.path, { client_secret: secret }).then(function (answer) { return result(kind, answer); });
    }

    function make(input, path, wrap, name) {
      var card = input.elements ? input.elements.card() : input.card;
      var billing = (input.params && input.params.billing_details) || input.billing_details;
      var nested = input.params && input.params.payment_method_data && input.params.payment_method_data.billing_details;
      var wrong = card.validate();
      if (wrong) { return Promise.resolve({ error: wrong }); }
      return call(key, "POST", path, wrap(card.data(nested || billing), input.params || {})).then(function (answer) {
        if (answer.error) { card.explain(answer.error); return { error: answer.error }; }
        var out = {};
        out[name] = answer.row;
        return out;
      });
    }

    return {
      elements: function (given) { return new Elements(given); },
      createPaymentMethod: function (input) {
        return make(input, "/v1/payment_methods", function (data) { return data; }, "paymentMethod");
      },
      createConfirmationToken: function (input) {
        return make(input, "/v1/confirmation_tokens", function (data, params) {
          var usage = input.elements && (input.elements.options.setupFutureUsage || input.elements.options.setup_future_usage);
          return { payment_method_data: data, return_url: params.return_url, setup_future_usage: usage };
        }, "confirmationToken");
      },
      confirmPayment: confirm,
      confirmSetup: confirm,
      confirmCardPayment: confirmWith,
      confirmCardSetup: confirmWith,
      handleNextAction: function (input) { return next(input.clientSecret); },
      handleCardAction: next,
      retrievePaymentIntent: retrieve,
      retrieveSetupIntent: retrieve
    };
  }

  Stripe.version = "sandbox";
  window.Stripe = Stripe;
})();
