"""`/pricing/`, and the door from there into a checkout."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode

from babel.numbers import get_territory_currencies
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.module_loading import import_string
from django.utils.translation.trans_real import parse_accept_lang_header
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from billing import redirecting, taxes, typed
from billing.models import Customer, Plan, Seller
from billing.refusals import Refused
from checkout import limits, sessions, wording
from checkout.models import CheckoutSession
from checkout.views.common import slow_down, too_often

INTERVALS = ("month", "year")
STARTS_IN_TEN_MINUTES = 30


@require_safe
def pricing(request: HttpRequest) -> HttpResponse:
    """What is sold, at the interval and in the currency of the query."""
    plans = list(
        Plan.objects.filter(published=True, archived_at=None).prefetch_related("prices", "entitlements")
    )
    seller = Seller.objects.first()
    offered = _offered(plans)
    currency = _currency(request, offered, seller.currency if seller else "USD")
    interval = request.GET.get("interval") if request.GET.get("interval") in INTERVALS else INTERVALS[0]
    card_of = partial(wording.card_of, currency=currency, contains_tax=_contains_tax(seller))
    cards = [card_of(plan, interval=str(interval)) for plan in plans]
    yearly = [card_of(plan, interval="year") for plan in plans if plan.self_serve]
    context = {
        "seller": seller, "cards": cards, "interval": interval, "currency": currency, "currencies": offered,
        "saving": wording.saving_percent(yearly), "featured": _featured(plans),
        "alone": wording.either([plan.name for plan in plans if _alone(plan)]), "plans": plans,
        "comparison": wording.comparison(plans), "with_tax": any(card.with_tax for card in cards),
    }  # fmt: skip
    response = render(request, "checkout/pricing.html", context)
    patch_vary_headers(response, ["Accept-Language", "Cookie"])
    return response


def _contains_tax(seller: Seller | None) -> Callable[[str], bool]:
    """Whether prices of a tax category are written with tax."""
    return partial(taxes.written_with_tax, seller, taxes.rates()) if seller else lambda _category: False


def _offered(plans: list[Plan]) -> list[str]:
    """The currencies in which everything that can be bought alone has a price."""
    found = [{p.currency for p in plan.prices.all() if p.active} for plan in plans if plan.self_serve]
    return sorted(set.intersection(*found)) if found else []


def _alone(plan: Plan) -> bool:
    """Whether a buyer can take it without talking to anybody."""
    return plan.self_serve and not plan.requires_demo


def _featured(plans: list[Plan]) -> str:
    """The highest plan that a buyer can take alone."""
    alone = [plan for plan in plans if _alone(plan)]
    return max(alone, key=lambda plan: plan.rank).code if alone else ""


def _currency(request: HttpRequest, offered: list[str], usual: str) -> str:
    """The one asked for, else that of the country in the browser's language, else the seller's."""
    asked = request.GET.get("currency", "").upper()
    if asked in offered:
        return asked
    for guess in _of_language(request):
        if guess in offered:
            return guess
    return usual if usual in offered or not offered else offered[0]


def _of_language(request: HttpRequest) -> list[str]:
    """The money of the country that the browser's first language names: `de-AT` -> EUR."""
    languages = [
        name for name, _weight in parse_accept_lang_header(request.headers.get("Accept-Language", ""))
    ]
    region = languages[0].partition("-")[2].upper() if languages else ""
    return get_territory_currencies(region) if len(region) == 2 else []


@dataclass(frozen=True, slots=True)
class Wish:
    """What a link or a form asks for, as text and not yet judged."""

    plan: str
    interval: str
    currency: str
    seats: str
    success_url: str
    cancel_url: str

    @property
    def address(self) -> str:
        """The link that asks for the same."""
        given = {name: value for name in self.__slots__ if (value := getattr(self, name))}
        return f"{reverse('checkout:start')}?{urlencode(given)}"

    @property
    def quantity(self) -> int:
        """Plain digits only; 0, which nobody can buy, for anything else."""
        plain = self.seats.isascii() and self.seats.isdigit() and len(self.seats) < 8
        return int(self.seats) if plain else 0


def wished(request: HttpRequest) -> Wish:
    given = request.POST if request.method == "POST" else request.GET
    texts = {name: given.get(name, "").replace("\x00", "")[:501] for name in Wish.__slots__}
    usual = {"interval": "month", "currency": "USD", "seats": "1"}
    return Wish(**{name: text or usual.get(name, "") for name, text in texts.items()})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def start(request: HttpRequest) -> HttpResponse:
    """POST makes a session and leads to it. GET, for links, shows what it would be and makes nothing."""
    wish = wished(request)
    try:
        redirecting.check(success_url=wish.success_url, cancel_url=wish.cancel_url)
        if request.method != "POST":
            return _doorstep(request, wish)
        slow_down(request, "checkout-start", limit=STARTS_IN_TEN_MINUTES)
        buyer = _buyer(request, wish)
        if isinstance(buyer, HttpResponse):
            return buyer
        session = _begun(wish, buyer[0])
    except limits.TooOften as refusal:
        return too_often(request, refusal)
    except redirecting.RedirectNotAllowed as refusal:
        return refused(request, refusal, wish.plan, status=400)
    except Refused as refusal:
        return refused(request, refusal, wish.plan, wish=wish)
    return redirect("checkout:session", token=session.token)


def _buyer(request: HttpRequest, wish: Wish) -> tuple[Customer | None, str] | HttpResponse:
    """Whom this is for and where another one is chosen, or the page that asks."""
    found: tuple[Customer | None, str] | HttpResponse
    found = import_string(settings.CHECKOUT_BUYER)(request, wish.address)
    return found


def _begun(wish: Wish, customer: Customer | None) -> CheckoutSession:
    """Who is signed in buys for the customer that they act for, and does not become another one."""
    return sessions.start(
        plan=wish.plan, interval=wish.interval, quantity=wish.quantity, currency=wish.currency, customer=customer,
        success_url=wish.success_url, cancel_url=wish.cancel_url,
        now=customer.now if customer else timezone.now(),
        livemode=customer.livemode if customer else settings.STRIPE_LIVE_MODE,
    )  # fmt: skip


def _doorstep(request: HttpRequest, wish: Wish) -> HttpResponse:
    plan, currency = sessions.plan_on_sale(wish.plan), typed.currency(wish.currency)
    sessions.refuse_unready(plan, "")
    sessions.check_price(plan, interval=wish.interval, currency=currency, quantity=wish.quantity)
    card = wording.card_of(
        plan, interval=wish.interval, currency=currency, contains_tax=_contains_tax(Seller.objects.first())
    )
    buyer = _buyer(request, wish)
    customer, elsewhere = (None, "") if isinstance(buyer, HttpResponse) else buyer
    context = {"card": card, "wish": wish, "currency": currency, "customer": customer, "elsewhere": elsewhere}
    return render(request, "checkout/start.html", context)


def refused(
    request: HttpRequest, refusal: Refused, plan: str, status: int = 422, wish: Wish | None = None
) -> HttpResponse:
    """Why this cannot be bought here, and where to go instead; a wrong number of seats of a `wish` is asked for again."""
    found = Plan.objects.filter(code=plan, published=True).first()
    seats = wish if refusal.code == "invalid_quantity" else None
    context = {"refusal": refusal, "plan": found, "wish": seats}
    return render(request, "checkout/refused.html", context, status=status)


def restart(request: HttpRequest, session: CheckoutSession) -> HttpResponse:
    """A new session with everything that was typed in one that has ended."""
    try:
        slow_down(request, "checkout-start", limit=STARTS_IN_TEN_MINUTES)
        fresh = sessions.again(session=session, now=session.now)
    except limits.TooOften as refusal:
        return too_often(request, refusal)
    except Refused as refusal:
        return refused(request, refusal, session.plan.code)
    return redirect("checkout:session", token=fresh.token)
