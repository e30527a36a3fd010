"""The hosted checkout: one page, what comes after it, and the ways back to it."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_http_methods, require_safe

from billing import customers, printing, reasons
from billing.models import Discount, PaymentMethod
from billing.refusals import Refused
from checkout import completing, judging, letters, limits, quoting, sessions, wording
from checkout.forms import CheckoutForm, as_typed
from checkout.models import CheckoutSession
from checkout.routing import SELF_SERVE, Decision
from checkout.views import pricing
from checkout.views.common import most_seats, private, session_of, slow_down, with_card

CARD_TOKEN = re.compile(r"(pm|ctoken)_[A-Za-z0-9_]{1,90}")
# What is wrong while a buyer is still typing: only what was chosen, not what is still empty.
SOON = ("interval", "quantity", "promotion_code", "tax_id")
# After so many wrong promotion codes from one place, the sessions in which they were tried take none.
WRONG_CODES_IN_TEN_MINUTES = 20
GUESSED = "guessed_codes"
OTHER_TERMS = (
    "The terms of service have changed since you opened this page. Please read them, and tick this once more."
)
# Whom a person would call.
CONTACT = ("name", "email", "company", "employees", "country", "quantity", "interval")


@private
@require_http_methods(["GET", "HEAD", "POST"])
def session(request: HttpRequest, token: str) -> HttpResponse:
    """The page itself: fill in (`update`) or pay. In any other state it shows that state."""
    row = session_of(token)
    if (elsewhere := _not_the_form(request, row)) is not None:
        return elsewhere
    try:
        return _filled_in(request, row)
    except Refused as refusal:  # its price was taken off the market while it was open
        return pricing.refused(request, refusal, row.plan.code)


def _filled_in(request: HttpRequest, row: CheckoutSession) -> HttpResponse:
    table = quoting.table(row, code=request.POST.get("promotion_code", ""))
    if table.subscribed and row.customer is not None:
        raise sessions.already_subscribed(row.customer)
    if request.method != "POST":
        return _page(request, row, _form(row, table), table, status=200)
    form = _form(row, table, request)
    form.is_valid()
    _remember(request, row, form, table)
    if request.POST.get("action") == "pay":
        return _pay(request, row, form, table)
    return _update(request, row, form, table)


def _not_the_form(request: HttpRequest, row: CheckoutSession) -> HttpResponse | None:
    """What is to be seen when there is nothing to fill in; None while there is."""
    if row.status == "completed":
        return redirect(_destination(row))
    if row.attempted_at is not None:
        return _waiting(request, row)
    if row.status != "open" or row.expires_at <= row.now:
        return render(request, "checkout/ended.html", {"session": row}, status=410)
    if row.lead_id and row.unlocked_at is None:
        return render(request, "checkout/with_sales.html", {"session": row, "answers": row.answers})
    return None


# -- Filling in ---------------------------------------------------------------------------------------------


def _form(row: CheckoutSession, table: quoting.Table, request: HttpRequest | None = None) -> CheckoutForm:
    own = [p for p in table.prices if p.interval == row.interval and p.kind == "recurring"]
    cards = _offered_cards(row, table)
    form = CheckoutForm(
        request.POST if request else None,
        initial={
            **_known(row),
            **row.answers,
            "interval": row.interval,
            "quantity": row.quantity,
            "saved_card": _preferred(row, cards),
            "terms": bool(row.message and row.attempts),  # who was declined has agreed already
        },
        plan=row.plan,
        intervals=wording.interval_choices(row.plan, table.prices, row.currency),
        cards=wording.card_choices(cards),
        seats=any(p.model != "flat" for p in own),
        most=most_seats(row),
    )
    for name in _fixed(row):
        form.fields.pop(name, None)
    return form


def _offered_cards(row: CheckoutSession, table: quoting.Table) -> list[PaymentMethod]:
    """The known customer's that are still good. Nobody is known by an address that was typed."""
    return [card for card in table.cards if not card.expired(row.now.date())]


def _preferred(row: CheckoutSession, cards: list[PaymentMethod]) -> str:
    """What was chosen, else the first card; but not one that has just been declined."""
    declined = row.card_token if row.message else ""
    open_to = [card.pk for card in cards if card.provider_id != declined]
    chosen = row.answers.get("saved_card", "")
    return chosen if chosen in open_to else next(iter(open_to), wording.ANOTHER_CARD)


def _known(row: CheckoutSession) -> dict[str, Any]:
    """What is known before anything is typed."""
    customer = row.customer
    if customer is None:
        return {"email": row.email}
    address = {name: value for name, value in customer.billing_address.items() if name != "country"}
    return {
        **address,
        "country": customer.country,
        "employees": customer.employees,
        "tax_id": customer.tax_id,
    }


def _fixed(row: CheckoutSession) -> list[str]:
    """What is not asked: who an existing customer is, and a code where none is taken."""
    names = ["name", "email", "company"] if row.customer_id else []
    return names + ([] if row.allow_promotion_codes else ["promotion_code"])


def _remember(request: HttpRequest, row: CheckoutSession, form: CheckoutForm, table: quoting.Table) -> None:
    """Note what was typed, right or wrong, and the choices that are right."""
    typed = as_typed(form)
    chosen: dict[str, Any] = {
        name: form.cleaned_data[name]
        for name in ("interval", "quantity", "email")
        if form.cleaned_data.get(name)
    }
    if "promotion_code" in form.fields:
        chosen |= _discount(request, row, form, typed.get("promotion_code", ""), table.coded)
    sessions.remember(row, typed, **chosen)


def _discount(
    request: HttpRequest, row: CheckoutSession, form: CheckoutForm, code: str, coded: Discount | None
) -> dict[str, Any]:
    """A code that works sets the discount; taking it away unsets it; a wrong one is an error and unsets it,
    too."""
    if not code.strip():
        return {"discount": None} if row.answers.get("promotion_code") else {}
    try:
        return {"discount": _found(request, row, coded)}
    except (sessions.CodeRefused, limits.TooOften) as refusal:
        form.add_error("promotion_code", refusal.message)
        return {"discount": None}


def _found(request: HttpRequest, row: CheckoutSession, coded: Discount | None) -> Discount:
    """The discount behind a code, if it can be used. Who has tried many wrong ones is guessing, and no code works here
    any more. Raises CodeRefused, TooOften."""
    if row.answers.get(GUESSED):
        raise sessions.CodeRefused("Too many codes were tried. Please begin a new checkout.")
    try:
        return sessions.usable(coded, plan=row.plan, currency=row.currency, now=row.now)
    except sessions.CodeRefused:
        try:
            slow_down(request, "promotion-code", limit=WRONG_CODES_IN_TEN_MINUTES)
        except limits.TooOften:
            row.answers = {**row.answers, GUESSED: "yes"}
            raise
        raise


def _update(
    request: HttpRequest, row: CheckoutSession, form: CheckoutForm, table: quoting.Table
) -> HttpResponse:
    """Show what the answers change. With htmx the summary alone; without, the page again."""
    _forget_errors(form, SOON, also_empty=True)
    sessions.note_routing(row, judging.judge(row, table))
    sessions.keep(row)
    if request.headers.get("HX-Request"):
        return _page(request, row, form, table, status=200, template="checkout/_refreshed.html")
    if form.errors:
        return _page(request, row, form, table, status=422)
    return redirect(f"{request.path}#summary")


def _forget_errors(form: CheckoutForm, kept: tuple[str, ...], *, also_empty: bool = False) -> None:
    for name in list(form.errors):
        empty = also_empty and not form.data.get(name, "").strip()
        if name not in kept or empty:
            del form.errors[name]


def _page(
    request: HttpRequest,
    row: CheckoutSession,
    form: CheckoutForm,
    table: quoting.Table,
    *,
    status: int,
    template: str = "checkout/session.html",
) -> HttpResponse:
    country, offer = str(form["country"].value() or ""), quoting.offer(row, table, now=row.now)
    to_sales, no_card = _to_sales(row), completing.asks_no_card(row, offer, table, row.now)
    way = "team" if to_sales else "free" if no_card else "card"
    context = {
        "session": row,
        "form": form,
        "seller": table.seller,
        "summary": wording.summary(row, offer),
        "to_sales": to_sales,
        "no_card": no_card,
        "way": way,
        # Compared with what the page shows, not with what was noted last: an answer may have been lost on its way.
        "other_way": request.POST.get("way", way) != way,
        "stripe_key": settings.STRIPE_PUBLISHABLE_KEY,
        "home": row.cancel_url or "/pricing/",
        "country_known": bool(country),
        "country_options": wording.country_options(country),
        "country": country,
        # Compared, not told by the select: of requests that wait for each other the last one counts, whatever asked it.
        "other_country": request.POST.get("asked_for", country) != country,
    }
    response = render(request, template, context, status=status)
    return with_card(response, _origin(row.success_url))


def _to_sales(row: CheckoutSession) -> bool:
    """By the decision that was noted last, and unless a rep let the buyer through."""
    return row.routing.get("outcome", SELF_SERVE) != SELF_SERVE and row.unlocked_at is None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


# -- Paying -------------------------------------------------------------------------------------------------


def _pay(
    request: HttpRequest, row: CheckoutSession, form: CheckoutForm, table: quoting.Table
) -> HttpResponse:
    decision = judging.judge(row, table)
    sessions.note_routing(row, decision)
    if judging.needs_a_person(row, decision):
        return _hand_over(request, row, form, table, decision)
    token = "" if _asks_no_card(row, table) else _card_token(form, table)
    _refuse_other_terms(request, form, table)
    if form.errors:
        return _not_yet(request, row, form, table)
    try:
        done = completing.pay(
            session=row,
            card_token=token,
            fields=_fields(form),
            expected=_expected(request),
            table=table,
            now=row.now,
        )
    except (completing.BeingDecided, sessions.NotOpen):
        return redirect(request.path)
    except Refused as refusal:
        form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        return _not_yet(request, row, form, table)
    return _after(done)


def _asks_no_card(row: CheckoutSession, table: quoting.Table) -> bool:
    """What it costs is worked out only where that decides; `completing.pay` does so with what will be stored."""
    if row.needs_card:
        return False
    return completing.asks_no_card(row, quoting.offer(row, table, now=row.now), table, row.now)


def _refuse_other_terms(request: HttpRequest, form: CheckoutForm, table: quoting.Table) -> None:
    """What is agreed to is what the page led to; where the seller has other terms by now, they are agreed to anew."""
    if request.POST.get("terms_url", table.seller.terms_url) != table.seller.terms_url:
        form.add_error("terms", OTHER_TERMS)
        form.data = {name: value for name, value in form.data.items() if name != "terms"}


def _card_token(form: CheckoutForm, table: quoting.Table) -> str:
    """The provider's name of the saved card that was chosen, or of the one that was typed."""
    token = form.cleaned_data.get("payment_method", "")
    form.errors.pop("payment_method", None)
    chosen = form.cleaned_data.get("saved_card", "")
    if saved := next((card for card in table.cards if card.pk == chosen), None):
        return saved.provider_id
    if not form.errors and not CARD_TOKEN.fullmatch(token):
        form.add_error(None, "Please enter your card.")
    return token


def _not_yet(
    request: HttpRequest, row: CheckoutSession, form: CheckoutForm, table: quoting.Table
) -> HttpResponse:
    """Something is to be mended first; what was typed is kept."""
    sessions.keep(row)
    return _page(request, row, form, table, status=422)


def _hand_over(
    request: HttpRequest, row: CheckoutSession, form: CheckoutForm, table: quoting.Table, decision: Decision
) -> HttpResponse:
    """A person takes over: only what is needed to reach the buyer must be right."""
    _forget_errors(form, CONTACT)
    if form.errors:
        return _not_yet(request, row, form, table)
    sessions.keep(row)
    judging.hand_over(row, decision, now=row.now)
    return redirect(request.path)


def _fields(form: CheckoutForm) -> dict[str, Any]:
    """The form as the fields of a customer."""
    data = form.cleaned_data
    parts = ("line1", "line2", "city", "state", "postal_code", "country")
    fields: dict[str, Any] = {
        name: data[name] for name in ("email", "country", "employees", "tax_id") if name in data
    }
    fields["billing_address"] = {name: data[name] for name in parts if data.get(name)}
    if "company" in data:
        fields["name"] = data["company"]
        fields["timezone"] = data["timezone"] or "UTC"
    return fields


def _expected(request: HttpRequest) -> int | None:
    """The total that the page showed when the button was pressed; -1, which nothing costs, for what is no total."""
    text = request.POST.get("expected", "")
    if not text:
        return None
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else -1


def _after(row: CheckoutSession) -> HttpResponse:
    """Where a buyer goes after pressing the button."""
    if row.status == "completed":
        return redirect(_destination(row))
    return redirect(_bank(row) or f"/checkout/{row.token}/")


def _destination(row: CheckoutSession) -> str:
    if row.success_url:
        return row.success_url.replace("{CHECKOUT_SESSION_ID}", row.pk)
    return f"/checkout/{row.token}/receipt/"


def _bank(row: CheckoutSession) -> str:
    """The bank's page where it asks the buyer to confirm."""
    if row.attempted_at is None:
        return ""
    payment = completing.open_payment(row)
    if payment is not None and payment.status == "requires_action":
        return payment.action_url
    return row.setup_url if payment is None else ""


# -- Between paying and knowing -----------------------------------------------------------------------------


def _waiting(request: HttpRequest, row: CheckoutSession) -> HttpResponse:
    back = request.path.endswith("/return/")
    context = {"session": row, "bank": "" if back else _bank(row)}
    return with_card(render(request, "checkout/waiting.html", context))


@private
@require_safe
def back_from_bank(request: HttpRequest, token: str) -> HttpResponse:
    """The bank sends buyers back here. Nothing is written: the page asks what became of it."""
    row = session_of(token)
    if row.status == "completed" or row.attempted_at is None:
        return _after(row)
    return _waiting(request, row)


def pressed(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A button of the page, which does nothing when its address is opened: who reloads it, or comes back to it, is led
    to the page."""

    @wraps(view)
    def inside(request: HttpRequest, token: str) -> HttpResponse:
        if request.method != "POST":
            return redirect("checkout:session", token=token)
        return view(request, token)

    return private(require_http_methods(["GET", "HEAD", "POST"])(inside))


@pressed
def check(request: HttpRequest, token: str) -> HttpResponse:
    """Ask the provider what became of the attempt; the waiting page does so every few seconds."""
    row = session_of(token)
    after = completing.look(session=row, now=row.now)
    decided = after.status == "completed" or after.attempted_at is None
    if not request.headers.get("HX-Request"):
        return _after(after) if decided else redirect("checkout:session", token=token)
    if not decided:
        return HttpResponse(status=204)
    return HttpResponse(status=200, headers={"HX-Redirect": _after(after)["Location"]})


@pressed
def another_card(request: HttpRequest, token: str) -> HttpResponse:
    """The buyer does not confirm with the bank but takes another card."""
    row = session_of(token)
    if row.attempted_at is not None:
        completing.use_another_card(session=row, now=row.now)
    return redirect("checkout:session", token=token)


@pressed
def again(request: HttpRequest, token: str) -> HttpResponse:
    row = session_of(token)
    if row.status == "completed" or row.attempted_at is not None:
        return redirect("checkout:session", token=token)
    return pricing.restart(request, row)


# -- Afterwards ---------------------------------------------------------------------------------------------


@private
@require_safe
def receipt(request: HttpRequest, token: str) -> HttpResponse:
    """What was paid, what comes next, and the paper."""
    row = session_of(token)
    if row.status != "completed":
        return redirect("checkout:session", token=token)
    context = {
        "session": row, "quote": row.quote, "next_on": letters.day(row.quote.get("next_on")),
        "has_card": _will_be_charged(row),
        "taxes": reasons.taxes(row.invoice.lines.all()) if row.invoice else [],
    }  # fmt: skip
    return render(request, "checkout/receipt.html", context)


def _will_be_charged(row: CheckoutSession) -> bool:
    """Whether there is a card for what comes next: a trial may have begun without one."""
    card = customers.default_card(row.customer) if row.customer and not row.invoice_id else None
    return row.invoice_id is not None or (card is not None and not card.expired(row.now.date()))


@private
@require_safe
def paper(request: HttpRequest, token: str) -> HttpResponseBase:
    """The invoice as PDF."""
    row = session_of(token)
    if row.invoice_id is None:
        raise Http404
    document = printing.print_invoice(row.invoice_id)
    headers = {"Content-Disposition": content_disposition_header(False, document.name) or "inline"}
    return HttpResponse(document.read(), content_type=document.media_type, headers=headers)
