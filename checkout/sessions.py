"""A checkout session's life before money moves: made, filled in, let through by a rep, ended, begun again."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet

from billing import choosing, customers, discounting, mail, redirecting, typed
from billing.models import Customer, Discount, Mail, Plan, Subscription, TestClock
from billing.moves import move
from billing.refusals import Refused
from billing.subscribing import PlanNeedsQuote
from checkout.models import CheckoutSession
from checkout.routing import Decision
from sales.models import Lead

LIFE = timedelta(hours=24)
MOST_SEATS = 100_000
INTERVALS = ("month", "quarter", "half_year", "year")


class UnknownPlan(Refused):
    """There is no such plan on sale."""

    code = "unknown_plan"


class PlanNeedsDemo(Refused):
    """The plan is shown in a demo first; staff can let a buyer through."""

    code = "plan_needs_demo"


class AlreadySubscribed(Refused):
    """The customer has a subscription; it is changed, not bought again."""

    code = "already_subscribed"


class InvalidTrial(Refused):
    """A trial is a number of whole days, at most two years of them."""

    code = "invalid_trial"


class NotOpen(Refused):
    """The session has ended, one way or the other."""

    code = "session_not_open"


# -- Made ---------------------------------------------------------------------------------------------------


@transaction.atomic
def start(
    *,
    plan: str,
    interval: str,
    quantity: int = 1,
    now: datetime,
    livemode: bool,
    origin: str = CheckoutSession.Origin.LINK,
    currency: str = "USD",
    customer: Customer | None = None,
    email: str = "",
    success_url: str = "",
    cancel_url: str = "",
    allow_promotion_codes: bool = True,
    trial_days: int | None = None,
    needs_card: bool | None = None,
    metadata: Mapping[str, str] | None = None,
    test_clock: TestClock | None = None,
    unlocked_by: str = "",
    answers: Mapping[str, Any] | None = None,
) -> CheckoutSession:
    """An open session for a plan (by its code). `unlocked_by` names the staff who let this buyer past sales;
    `needs_card` says whether a trial asks for a card (None: as the plan says).

    Raises UnknownPlan, PlanNeedsQuote, PlanNeedsDemo, UnknownPrice, InvalidQuantity, RedirectNotAllowed,
    AlreadySubscribed, InvalidTrial, and what `billing.typed` says of the e-mail address.
    """
    chosen = plan_on_sale(plan)
    address = typed.email(email) if email else (customer.email if customer else "")
    if not unlocked_by:
        refuse_unready(chosen, address)
    money = customer.currency if customer else typed.currency(currency)
    check_price(chosen, interval=interval, currency=money, quantity=quantity)
    redirecting.check(success_url=success_url, cancel_url=cancel_url)
    _check_customer(customer, trial_days)
    return CheckoutSession.objects.create(
        plan=chosen,
        interval=interval,
        quantity=quantity,
        currency=money,
        customer=customer,
        email=address,
        livemode=livemode,
        origin=origin,
        success_url=success_url,
        cancel_url=cancel_url,
        trial_days=trial_days,
        needs_card=chosen.trial_needs_card if needs_card is None else needs_card,
        allow_promotion_codes=allow_promotion_codes,
        metadata=dict(metadata or {}),
        unlocked_by=unlocked_by,
        unlocked_at=now if unlocked_by else None,
        answers=dict(answers or {}),
        created_at=now,
        expires_at=now + LIFE,
        test_clock=customer.test_clock if customer else test_clock,
    )


@transaction.atomic
def send(*, now: datetime, actor: str, message: str = "", **wishes: Any) -> CheckoutSession:
    """A rep offers a checkout: a session as `start` makes it, and its address by mail. Raises as both."""
    session = start(**wishes, now=now, origin=CheckoutSession.Origin.REP)
    send_link(session=session, now=now, actor=actor, message=message)
    return session


def plan_on_sale(code: str) -> Plan:
    """The published plan with this code. Raises UnknownPlan."""
    sold = Plan.objects.filter(published=True, archived_at__isnull=True)
    found = sold.filter(code=code).first() if "\x00" not in str(code) else None
    if found is None:
        raise UnknownPlan("There is no such plan.", field="plan")
    return found


def refuse_unready(plan: Plan, email: str) -> None:
    """Some plans are never bought alone, some after a demo. Raises PlanNeedsQuote, PlanNeedsDemo."""
    if plan.quote_only:
        raise PlanNeedsQuote(
            f"{plan.name} is sold by quote: our sales team prepares one for you.", field="plan"
        )
    if plan.requires_demo and not _had_demo(plan, email):
        raise PlanNeedsDemo(f"We show you {plan.name} first: ask for a demo.", field="plan")


def _had_demo(plan: Plan, email: str) -> bool:
    shown = Lead.objects.filter(email__iexact=email, demo_done_at__isnull=False)
    return bool(email) and shown.filter(plan_code__in=("", plan.code)).exists()


def check_price(plan: Plan, *, interval: str, currency: str, quantity: int) -> None:
    """Raises UnknownPrice, InvalidQuantity: before a session is made, and whenever one is filled in."""
    if interval not in INTERVALS:
        raise choosing.UnknownPrice(f"{plan.name} has no such price.", field="interval")
    most = most_seats(plan)
    if not 1 <= quantity <= most:
        raise choosing.InvalidQuantity(f"From 1 to {most:,} seats can be bought here.", field="quantity")
    items = choosing.choose_items(plan, interval=interval, currency=currency, quantity=quantity)
    choosing.refuse_uncounted(plan, [price for price, _ in items], quantity, None)


def most_seats(plan: Plan) -> int:
    """How many seats of a plan a buyer can choose alone."""
    limit = plan.entitlements.filter(feature="seats").values_list("limit", flat=True).first()
    return MOST_SEATS if limit is None else min(int(limit), MOST_SEATS)


def _check_customer(customer: Customer | None, trial_days: int | None) -> None:
    if trial_days is not None and not 0 <= trial_days <= 730:
        raise InvalidTrial("A trial has 0 to 730 days.", field="trial_days")
    if customer is not None:
        refuse_subscribed(customer)


def refuse_subscribed(customer: Customer) -> None:
    if subscribed(customer).exists():
        raise already_subscribed(customer)


def subscribed(customer: Any) -> QuerySet[Subscription]:
    """What stands in the way of another purchase."""
    return Subscription.objects.filter(customer=customer).exclude(status="canceled")


def already_subscribed(customer: Customer) -> AlreadySubscribed:
    return AlreadySubscribed(f"{customer.name} has a subscription already.", field="customer")


# -- Filled in ----------------------------------------------------------------------------------------------


def remember(session: CheckoutSession, answers: Mapping[str, str], **chosen: Any) -> None:
    """Note in the object what was typed, and the choices that are right; `keep` (or paying) stores it."""
    session.answers = {**session.answers, **answers}
    for name, value in chosen.items():
        setattr(session, name, value)


# What a buyer's typing changes.
TYPED = ("answers", "interval", "quantity", "email", "discount", "routing")


def keep(session: CheckoutSession) -> bool:
    """Store what was typed and decided. False when a payment or an end came in between: nothing is stored
    then."""
    still = CheckoutSession.objects.filter(pk=session.pk, status="open", attempted_at__isnull=True)
    return bool(still.update(**{name: getattr(session, name) for name in TYPED}))


def note_routing(session: CheckoutSession, decision: Decision) -> None:
    """Note the last decision with its rule, reasons and inputs; `keep` (or paying) stores it."""
    session.routing = decision.to_json()


@transaction.atomic
def unlock(*, session: CheckoutSession, now: datetime, actor: str) -> None:
    """Let a buyer who was sent to sales finish by card, with the time to do it, and tell them. Raises NotOpen."""
    row = CheckoutSession.objects.select_for_update().get(pk=session.pk)
    if row.status == "completed":
        raise NotOpen("This checkout is completed.")
    fields = {"unlocked_by": actor, "unlocked_at": now, "expires_at": now + LIFE, "status": "open"}
    CheckoutSession.objects.filter(pk=row.pk).update(**fields)
    for name, value in fields.items():
        setattr(session, name, value)
    if session.email:
        send_link(session=session, now=now, actor=actor)


def send_link(*, session: CheckoutSession, now: datetime, actor: str, message: str = "") -> None:
    """Mail the buyer the session's address, once for each opening of it. Raises Missing without an e-mail address.

    `message` is the sender's own words.
    """
    to = typed.email(session.email)
    context = {
        "plan": session.plan.name, "rep": customers.name_of(actor), "expires_at": session.expires_at,
        "message": typed.text(message, "message", limit=2000), "unlocked": session.unlocked_at is not None,
        "url": session.url,
    }  # fmt: skip
    cause = f"{session.pk}-{session.expires_at:%Y%m%d%H%M%S}"
    mail.compose(
        template="checkout_link", to=to, context=context, event=cause, now=now, customer=session.customer
    )


def still_open(source: Mail, now: datetime) -> None:
    """For a mail that brought a link. Raises NotOpen."""
    session = CheckoutSession.objects.filter(pk=source.event.partition("-")[0]).first()
    if session is None or session.status != "open" or session.expires_at <= session.now:
        raise NotOpen("The link has been used or has ended. Send a new one.")


# -- Ended and begun again ----------------------------------------------------------------------------------


@transaction.atomic
def expire(*, session: CheckoutSession, now: datetime, actor: str) -> None:
    """End an open session. One in which something was typed counts as abandoned. Raises NotOpen."""
    row = CheckoutSession.objects.select_for_update().get(pk=session.pk)
    if row.status != "open" or row.attempted_at is not None:
        raise NotOpen("Only an open session on which no payment is being decided can be ended.")
    release_discount(row)
    to = "abandoned" if row.answers else "expired"
    data = {"status": to, "plan": row.plan.code, "email": row.email}
    move(row, to, event="checkout.expired", actor=actor, now=now, customer=row.customer, data=data)
    session.status = row.status
    if _worth_a_mail(row):
        _mail_way_back(row, now)


def _worth_a_mail(row: CheckoutSession) -> bool:
    """Somebody typed and left. Not who is with sales, nor who has bought since, or has another session open."""
    if row.status != "abandoned" or not row.email or (row.lead_id and row.unlocked_at is None):
        return False
    later = CheckoutSession.objects.filter(email__iexact=row.email, created_at__gt=row.created_at)
    return not later.filter(status__in=("open", "completed")).exists()


def _mail_way_back(row: CheckoutSession, now: datetime) -> None:
    """One mail with the way back to what was typed."""
    context = {"plan": row.plan.name, "name": mail.greeted(row.answers.get("name", "")), "url": row.url}
    mail.compose(
        template="checkout_abandoned",
        to=row.email,
        context=context,
        event=row.pk,
        now=now,
        customer=row.customer,
    )


def expire_due(*, now: datetime, limit: int = 1000) -> int:
    """End every session whose time is over, by its own clock, and on which no payment is being decided. `now` is
    real time."""
    over = Q(test_clock=None, expires_at__lte=now) | Q(expires_at__lte=F("test_clock__now"))
    due = CheckoutSession.objects.filter(over, status="open", attempted_at__isnull=True)
    ended = 0
    for session in due.select_related("test_clock").order_by("expires_at")[:limit]:
        try:
            expire(session=session, now=session.expires_at if session.test_clock else now, actor="system")
            ended += 1
        except NotOpen:
            continue
    return ended


def again(*, session: CheckoutSession, now: datetime) -> CheckoutSession:
    """A fresh session with everything that was chosen and typed. Raises as `start`."""
    return start(
        plan=session.plan.code,
        interval=session.interval,
        quantity=_seats_of(session),
        now=now,
        livemode=session.livemode,
        origin=session.origin,
        currency=session.currency,
        customer=session.customer,
        email=session.email,
        success_url=session.success_url,
        cancel_url=session.cancel_url,
        allow_promotion_codes=session.allow_promotion_codes,
        trial_days=session.trial_days,
        needs_card=session.needs_card,
        metadata=session.metadata,
        test_clock=session.test_clock,
        unlocked_by=session.unlocked_by,
        answers=session.answers,
    )


def _seats_of(session: CheckoutSession) -> int:
    """How many were chosen; 1 where the chosen interval is sold as a whole."""
    items = choosing.choose_items(
        session.plan, interval=session.interval, currency=session.currency, quantity=session.quantity
    )
    return 1 if choosing.seats(items) is None else session.quantity


# -- Promotion codes ----------------------------------------------------------------------------------------


class CodeRefused(Refused):
    """The promotion code cannot be used; the message says why."""

    code = "promotion_code_refused"


def plain_code(code: str) -> str | None:
    """A promotion code as it is looked for; None for an empty one, behind which is nothing."""
    return code.replace("\x00", "").strip() or None


def coded(code: Any) -> QuerySet[Discount]:
    """The discount behind a plain code, whatever its case."""
    return Discount.objects.filter(code__iexact=code).order_by("pk")


def usable(discount: Discount | None, *, plan: Plan, currency: str, now: datetime) -> Discount:
    """What a code stands for, if it applies here and now. Raises CodeRefused."""
    field = "promotion_code"
    if discount is None:
        raise CodeRefused("We do not know this code.", field=field)
    try:
        discounting.check([discount], plan=plan, currency=currency, now=now)
    except discounting.DiscountRefused as refused:
        raise CodeRefused(refused.message, field=field) from refused
    return discount


def hold_discount(session: CheckoutSession) -> None:
    """Count a redemption before paying, so that the last one goes to one buyer. Call with its row held; the caller stores
    that it is counted. Raises CodeRefused."""
    if session.discount is None or session.discount_held:
        return
    try:
        discounting.redeem([session.discount])
    except discounting.DiscountUsedUp as refused:
        raise CodeRefused(refused.message, field="promotion_code") from refused
    session.discount_held = True


def release_discount(session: CheckoutSession) -> None:
    """Give the redemption back. Saves the session's flag; call with its row locked."""
    if session.discount is None or not session.discount_held:
        return
    discounting.give_back(session.discount)
    session.discount_held = False
    CheckoutSession.objects.filter(pk=session.pk).update(discount_held=False)
