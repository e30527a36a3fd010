"""The sample seller: eighteen months of some sixty customers, lived through the product's own verbs on a test clock.

Day after day buyers sign up, usage arrives, seats are added, cards fail, sales gets tasks, quotes are
accepted and convert. At the end the customers leave the clock and go on in real time.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from billing import cards, catalogue, collecting, customers, ending, metering, running, subscribing
from billing.fakestripe.site import the_fake
from billing.models import Customer, Invoice, Mail, Plan, Subscription, TestClock, User
from billing.refusals import Refused
from checkout import catalogue as checkout_catalogue
from sales import accepting, approving, drafting, handing_over, leads, quoting
from sales import catalogue as sales_catalogue
from sales.models import HandoffTask, Quote

type Say = Callable[[str], None]

DAYS = 548
USAGE_DAYS = 3  # usage is sent every third day: within the grace window of every meter
PASSWORD = "tandem-demo-2026"  # noqa: S105 - printed at every start, for the demo only
STAFF = [
    # e-mail, name, group
    ("rep@lumen.example", "Riley Okafor", sales_catalogue.REPS),
    ("rep2@lumen.example", "Sanne de Wit", sales_catalogue.REPS),
    ("manager@lumen.example", "Mara Lindqvist", sales_catalogue.MANAGERS),
    ("finance@lumen.example", "Fionn Byrne", sales_catalogue.FINANCE),
    ("support@lumen.example", "Suki Tanaka", sales_catalogue.SUPPORT),
    ("auditor@lumen.example", "Ruth Adeyemi", sales_catalogue.READ_ONLY),
]
SIGN_INS = [
    ("Buyer", "/pricing/", "", "card 4242 4242 4242 4242, any date and CVC"),
    ("Customer", "/portal/", "ada@harbourworks.example", "code by mail, see /mail/"),
    ("Sales rep", "/admin/", "rep@lumen.example", PASSWORD),
    ("Sales manager", "/admin/", "manager@lumen.example", PASSWORD),
    ("Finance", "/admin/", "finance@lumen.example", PASSWORD),
    ("Support", "/admin/", "support@lumen.example", PASSWORD),
    ("Read-only", "/admin/", "auditor@lumen.example", PASSWORD),
    ("Everything", "/admin/", "admin@lumen.example", PASSWORD),
]

NAMES = """Harbour Works|Brightline Logistics|Kestrel Robotics|Oakfield Dairy|Lindgren & Sons|Papaya Games|Nordlys Energi
Atelier Moreau|Quantile Research|Maple Street Bakery|Tidewater Marine|Corvid Security|Fenwick Law|Blue Heron Health
Sakura Imports|Granite Peak Outdoors|Ember Ceramics|Polaris Freight|Juniper Analytics|Redwood Homes|Castellan Insurance
Meridian Travel|Solstice Media|Thistle & Thread|Vantage Surveys|Iron Gate Foundry|Lumière Cosmétique|Oriole Music
Northgate Clinics|Silverleaf Gardens|Cobalt Cloud|Hearth & Co|Drift Mobility|Larkspur Schools|Basalt Engineering
Copper Kettle|Wildrose Apparel|Summit Legal|Tern Aviation|Opaline Glass|Plumtree Publishing|Zephyr Wind|Amber Road Tours
Beacon Tutors|Cedar & Stone|Dovetail Joinery|Elm Tree Veterinary|Foxglove Florists|Gannet Fisheries|Highland Spirits
Ivory Keys|Jasper Mining|Kite Financial|Lantern Theatre|Marlin Software|Nimbus Weather|Osprey Drones|Pebble Payments
Quill Press|Rowan Architects""".replace("\n", "|").split("|")
PEOPLE = [
    "Ada Noor", "Ben Achterberg", "Chiara Rossi", "Dele Adeyemi", "Elif Kaya", "Farah Haddad",
    "Goran Petrović", "Hana Sato", "Ines Duarte", "Jonas Weber", "Kofi Mensah", "Lucía Herrera",
    "Mikko Laine", "Nadia Rahman", "Owen Price", "Priya Iyer",
]  # fmt: skip
COUNTRIES = [
    ("US", "USD"),
    ("IE", "EUR"),
    ("DE", "EUR"),
    ("FR", "EUR"),
    ("US", "USD"),
    ("GB", "USD"),
    ("NL", "EUR"),
    ("US", "USD"),
]
ZONES = {
    "US": "America/New_York",
    "IE": "Europe/Dublin",
    "DE": "Europe/Berlin",
    "FR": "Europe/Paris",
    "GB": "Europe/London",
    "NL": "Europe/Amsterdam",
}
VAT_IDS = {"DE": "DE136695976", "FR": "FR40303265045", "NL": "NL004495445B01"}
STREETS = {
    "US": ("450 Water Street", "Boston", "MA", "02210"), "IE": ("7 Merrion Row", "Dublin", "", "D02 KW86"),
    "DE": ("Torstraße 49", "Berlin", "", "10119"), "FR": ("18 rue de la Paix", "Paris", "", "75002"),
    "GB": ("31 Park Row", "Leeds", "", "LS1 5JD"), "NL": ("Herengracht 182", "Amsterdam", "", "1016 BR"),
}  # fmt: skip


@dataclass(slots=True)
class Life:
    """What a customer will do, by day since the beginning."""

    name: str
    joins: int
    plan: str
    interval: str
    seats: int
    country: str
    currency: str
    employees: int
    calls: int
    grows: tuple[int, ...] = ()
    leaves: int | None = None
    bad_card: tuple[int, int] | None = None
    invites: tuple[int, ...] = ()
    quote_on: int | None = None
    quote_seats: int = 0
    accepts: bool = True
    customer: Customer | None = field(default=None, repr=False)
    owner: str = "system"

    @property
    def host(self) -> str:
        letters = "".join(c for c in self.name.lower() if c.isascii() and c.isalnum())
        return f"{letters}.example"


def lives(random_: random.Random) -> list[Life]:
    """Sixty plausible lives, the same at every start; the first is the one that the demo signs in as."""
    first = Life(
        "Harbour Works",
        60,
        "pro",
        "month",
        3,
        "IE",
        "EUR",
        42,
        1550,
        grows=(200, 330),
        invites=(70, 210, 340, 350, 410),
    )
    rows = [first]
    for n, name in enumerate(NAMES[1:], start=1):
        country, currency = COUNTRIES[n % len(COUNTRIES)]
        joins = min(DAYS - 12, (n * 9) // 7 * 7 % (DAYS - 20))
        plan = "starter" if n % 5 in (1, 3) else "pro"
        seats = 1 if plan == "starter" else random_.choice([2, 3, 4, 5, 8, 12])
        life = Life(
            name, joins, plan, "year" if n % 3 == 0 else "month", seats, country, currency,
            random_.choice([4, 9, 15, 28, 45, 80]), random_.choice([40, 120, 260, 400, 900, 1300]),
        )  # fmt: skip
        if plan == "pro" and n % 3:
            life.grows = tuple(d for d in (joins + 75, joins + 190, joins + 320) if d < DAYS)
            life.invites = tuple(d for d in range(joins + 10, min(joins + 90, DAYS), 14))
        if n % 9 == 4:
            life.leaves = joins + random_.choice([120, 200, 290])
        if n % 13 == 5:
            life.bad_card = (joins + 40, joins + 95)
        rows.append(life)
    _hand_over(rows)
    return rows


def _hand_over(rows: list[Life]) -> None:
    """Some of them grow up: a quote, accepted or not, on a day."""
    plans = [(7, 150, 40, True), (10, 210, 60, True), (16, 280, 25, True), (22, 390, 80, True), (31, 500, 35, True),
             (40, 530, 30, False), (25, 300, 20, False), (13, 538, 55, False)]  # fmt: skip
    for index, day, seats, accepts in plans:
        life = rows[index]
        life.plan, life.interval, life.seats, life.leaves, life.bad_card = (
            "pro",
            "month",
            max(life.seats, 6),
            None,
            None,
        )
        life.joins = min(life.joins, day - 40)
        life.quote_on, life.quote_seats, life.accepts = day, seats, accepts


# -- Loading ----------------------------------------------------------------------------------------------


def load(say: Say) -> None:
    """Live through it. About a minute; `say` hears of every month."""
    with the_fake().webhooks.muted():
        _wait_for_disk(False)
        clock = _load(say)
        _wait_for_disk(True)  # the commit that follows brings all those before it there
        _release(clock)


def _wait_for_disk(on: bool) -> None:
    """Whether commits of this connection wait until they are on the disk. What is cut off is begun anew in any case."""
    with connection.cursor() as cursor:
        cursor.execute("reset synchronous_commit" if on else "set synchronous_commit = off")


def _load(say: Say) -> TestClock:
    start, end = ship()
    reps = staff()
    clock = TestClock.objects.create(name="Sample seller", now=start, series_code="test")
    story = lives(random.Random(7))  # noqa: S311 - the same at every start is the point
    for life in story:
        life.joins = _sign_up_day(life.joins, start)
    eventful, month = _eventful(story), 0
    for day in range(DAYS):
        if day not in eventful and day % USAGE_DAYS:
            continue
        now = start + timedelta(days=day)
        running.advance(clock=clock, to=now, actor="system")
        for life in story:
            _live(life, day, clock, reps)
        if day % USAGE_DAYS == 0:
            _usage(story, day, now)
        _at_work(day, now, reps)
        work_off()
        if now.month != month:
            month = now.month
            say(f"  {now:%B %Y}: {Subscription.objects.filter(status='active').count()} subscriptions, "
                f"{Invoice.objects.count()} invoices")  # fmt: skip
    running.advance(clock=clock, to=end, actor="system")
    _open_ends(story, end)
    work_off()
    _settle_mail(end)
    return clock


def ship() -> tuple[datetime, datetime]:
    """What is sold, and the rules, as they were on the first day. Answers the first moment and the last."""
    end = timezone.now().replace(minute=0, second=0, microsecond=0)
    start = (end - timedelta(days=DAYS)).replace(hour=9)
    catalogue.ship(now=start)
    sales_catalogue.ship(now=start)
    checkout_catalogue.ship(now=start)
    return start, end


def _eventful(story: list[Life]) -> set[int]:
    """The days on which somebody does something, and those that `_at_work` looks for."""
    days = {day for day in range(DAYS) if day % 5 == 0 or day % 30 == 11 or day % 60 == 33}
    for life in story:
        days |= {life.joins, *life.grows, *life.invites, *(life.bad_card or ())}
        days |= {day for day in (life.leaves, life.quote_on) if day is not None}
    return days


def _sign_up_day(day: int, start: datetime) -> int:
    """Campaigns end on the 3rd and the 17th, and so that is when people sign up (and when one run bills many)."""
    while day > 0 and (start + timedelta(days=day)).day not in (3, 17):
        day -= 1
    return day


def staff() -> list[User]:
    """The people who work at the seller; answers the reps. They share a password, so it is hashed once."""
    made, hashed = [], make_password(PASSWORD)
    for email, name, group in STAFF:
        user, _ = User.objects.get_or_create(
            email=email, defaults={"name": name, "is_staff": True, "password": hashed}
        )
        user.groups.add(Group.objects.get(name=group))
        made.append(user)
    boss = {"name": "Ana Ferreira", "is_staff": True, "is_superuser": True, "password": hashed}
    User.objects.get_or_create(email="admin@lumen.example", defaults=boss)
    return made[:2]


def _live(life: Life, day: int, clock: TestClock, reps: list[User]) -> None:
    now = clock.now
    if day == life.joins:
        _join(life, clock)
    if life.customer is None:
        return
    if day in life.invites:
        _invite(life, day, now)
    if day in life.grows:
        _grow(life, now)
    if life.bad_card and day == life.bad_card[0]:
        cards.save(
            customer=life.customer, payment_method="pm_card_chargeCustomerFail", now=now, actor="system"
        )
    if life.bad_card and day == life.bad_card[1]:
        _new_card(life, now)
    if life.leaves == day:
        _each(
            life,
            lambda row: ending.cancel(subscription=row, now=now, actor=life.owner, reason="No longer needed"),
        )
    if life.quote_on == day:
        _quote(life, now, reps[0])


def _join(life: Life, clock: TestClock) -> None:
    now = clock.now
    line1, city, state, code = STREETS[life.country]
    owner = PEOPLE[len(life.name) % len(PEOPLE)] if life.name != "Harbour Works" else "Ada Noor"
    email = f"{owner.split()[0].lower().replace('ć', 'c').replace('í', 'i')}@{life.host}"
    with transaction.atomic():
        customer = customers.create(
            name=life.name, email=email, livemode=False, now=now, actor="buyer", country=life.country,
            currency=life.currency, timezone=ZONES[life.country], employees=life.employees, test_clock=clock,
            tax_id=VAT_IDS.get(life.country, ""),
            billing_address={"line1": line1, "city": city, "state": state, "postal_code": code, "country": life.country},
        )  # fmt: skip
        member = customers.add_member(
            customer=customer, email=email, name=owner, role="owner", now=now, actor="buyer"
        )
    cards.save(customer=customer, payment_method="pm_card_visa", now=now, actor="buyer")
    row = subscribing.subscribe(
        customer=customer, plan=Plan.objects.get(code=life.plan), interval=life.interval,
        quantity=None if life.plan == "starter" else life.seats, now=now, actor="buyer", origin="checkout",
    )  # fmt: skip
    result = subscribing.bill_now(subscription=row, now=now, actor="buyer")
    if result.invoice:
        collecting.attempt(invoice=result.invoice, now=now, actor="buyer", off_session=False)
    customer.refresh_from_db()
    life.customer, life.owner = customer, f"member:{member.pk}"


def _invite(life: Life, day: int, now: datetime) -> None:
    assert life.customer is not None
    name = PEOPLE[(day + len(life.name)) % len(PEOPLE)]
    email = f"{name.split()[0].lower()}.{day}@{life.host}".replace("ć", "c").replace("í", "i")
    with transaction.atomic():
        customers.add_member(
            customer=life.customer, email=email, name=name, role="viewer", now=now, actor=life.owner
        )


def _each(life: Life, act: Callable[[Subscription], Any]) -> None:
    assert life.customer is not None
    for row in Subscription.objects.filter(
        customer=life.customer, status__in=Subscription.LIVE, end_on__isnull=True
    ):
        act(row)


def _grow(life: Life, now: datetime) -> None:
    def more(row: Subscription) -> None:
        spec = subscribing.timelines.spec_on(subscribing.timelines.specs_of(row), now.date())
        seats = subscribing.seats(spec.items) if spec else None
        if seats is None or spec is None or spec.collection_method == "send_invoice":
            return
        change = subscribing.change(
            subscription=row, now=now, actor=life.owner, quantity=seats + max(1, int(seats) // 4)
        )
        if change.invoice and change.invoice.status == "open":
            collecting.attempt(invoice=change.invoice, now=now, actor=life.owner)

    _each(life, more)


def _new_card(life: Life, now: datetime) -> None:
    assert life.customer is not None
    card = cards.save(customer=life.customer, payment_method="pm_card_mastercard", now=now, actor=life.owner)
    for invoice in life.customer.invoices.filter(status="open"):
        try:
            collecting.attempt(invoice=invoice, now=now, actor=life.owner, payment_method=card)
        except Refused:
            continue


def _quote(life: Life, now: datetime, rep: User) -> None:
    """The rep quotes Enterprise from the running subscription; the buyer signs, or lets it lie."""
    assert life.customer is not None
    row = Subscription.objects.filter(customer=life.customer, status__in=Subscription.LIVE).first()
    if row is None:
        return
    task = HandoffTask.objects.filter(customer=life.customer, status="open").first()
    if task:
        handing_over.accept(task=task, by=rep, now=now)
    quote = drafting.draft_from_subscription(
        subscription=row, now=now, actor=f"user:{rep.pk}", by=rep, plan=Plan.objects.get(code="enterprise"),
        quantity=life.quote_seats, interval="year", term_months=24, net_days=30, discount_percent=Decimal(15),
        ramp=[{"year": 2, "quantity": life.quote_seats + 20}],
    )  # fmt: skip
    if life.name == NAMES[40]:
        return
    quote = quoting.send(quote=quote, now=now, actor=f"user:{rep.pk}", message="As discussed on the phone.")
    if life.accepts:
        _sign(quote, life, now)


def _sign(quote: Quote, life: Life, now: datetime) -> None:
    person = life.customer.members.order_by("added_at").first() if life.customer else None
    name = person.user.name if person else "Ada Noor"
    quote = accepting.find(quote.token)
    accepting.view(quote=quote, now=now)
    accepting.accept(
        quote=quote, name=name, title="Chief Operating Officer", email=quote.contact_email, signature=name,
        po_number=f"PO-{quote.number[-4:]}", now=now, version=quote.version,
    )  # fmt: skip


def _usage(story: list[Life], today: int, now: datetime) -> None:
    """The last days' calls, as a product that reports them in batches would send them."""
    events = [
        {"id": f"sample-{n}-{day}", "customer": life.customer.pk, "event_name": "api_call",
         "timestamp": (now - timedelta(days=today - day, hours=1)).isoformat(),
         "properties": {"value": str(_calls(life, day, n))}}
        for day in range(today - USAGE_DAYS + 1, today + 1)
        for n, life in enumerate(story)
        if life.customer is not None and day > life.joins and (life.leaves is None or day < life.leaves)
    ]  # fmt: skip
    if events:
        metering.record(events=events, livemode=False, now=now)


def _calls(life: Life, day: int, n: int) -> int:
    """Growing slowly, quieter at weekends."""
    weekend = 0.35 if day % 7 in (5, 6) else 1.0
    wave = 0.8 + ((day * 37 + n * 101) % 41) / 100
    return max(1, int(life.calls * weekend * wave * (1 + (day - life.joins) / 900)))


def _at_work(day: int, now: datetime, reps: list[User]) -> None:
    """Finance books transfers, sales closes old tasks, strangers ask for a call."""
    finance = User.objects.get(email="finance@lumen.example")
    if day % 5 == 0:
        for invoice in Invoice.objects.filter(
            status="open", collection_method="send_invoice", issued_at__lte=now - timedelta(days=24)
        )[:4]:
            collecting.record_transfer(
                invoice=invoice, amount=invoice.amount_due, reference=f"SEPA {invoice.number}", paid_at=now, now=now,
                actor=f"user:{finance.pk}",
            )  # fmt: skip
    if day % 30 == 11 and day < DAYS - 60:
        for task in HandoffTask.objects.filter(status="open").order_by("raised_at")[:3]:
            handing_over.give_back(
                task=task,
                now=now,
                actor=f"user:{reps[1].pk}",
                note="Happy as they are; look again next quarter.",
            )
    if day % 60 == 33:
        leads.contact(
            name=PEOPLE[day % len(PEOPLE)], email=f"it@prospect{day}.example", company=f"Prospect {day} Group", now=now,
            actor="buyer", employees=120 + day, country="DE", need="Single sign-on and an order form.",
            demo_wanted=day % 120 == 33,
            plan="enterprise",
        )  # fmt: skip


def _open_ends(story: list[Life], now: datetime) -> None:
    """Something to do today: the demo's customer is near its limit, and a deal waits for its manager."""
    customer = story[0].customer
    assert customer is not None
    [usage] = [u for u in metering.current(customer, now) if u.limit][:1]
    missing = int((usage.limit or 0) * 84 // 100 - usage.used)
    if missing > 0:
        metering.record(
            events=[{"id": "sample-today", "customer": customer.pk, "event_name": "api_call",
                     "timestamp": now.isoformat(),
                     "properties": {"value": str(missing)}}], livemode=False, now=now,
        )  # fmt: skip
    rep = User.objects.get(email="rep@lumen.example")
    row = Subscription.objects.filter(customer=story[19].customer, status__in=Subscription.LIVE).first()
    if row is not None:
        quote = drafting.draft_from_subscription(
            subscription=row, now=now, actor=f"user:{rep.pk}", by=rep, plan=Plan.objects.get(code="enterprise"),
            quantity=45, interval="year", term_months=36, net_days=45, discount_percent=Decimal(25),
        )  # fmt: skip
        approving.submit(quote=quote, now=now, actor=f"user:{rep.pk}", by=rep)


# -- Jobs, mail and the end of the clock ----------------------------------------------------------------


def work_off() -> None:
    """Run the jobs that the verbs enqueued, at the clock's time; mails are left for `_settle_mail`."""
    for job in _jobs():
        if job["func"] != "billing.tasks.send_mail":
            import_string(job["func"])(*job.get("args", ()), **job.get("kwargs", {}))


def _jobs() -> Iterator[dict[str, Any]]:
    while rows := list(OrmQ.objects.order_by("id")[:200]):
        OrmQ.objects.filter(pk__in=[row.pk for row in rows]).delete()
        for row in rows:
            yield SignedPackage.loads(row.payload)


def _settle_mail(now: datetime) -> None:
    """Old mails count as sent long ago; the last few days' wait for the worker, so that /mail/ has something to show."""
    old = Mail.objects.filter(sent_at__isnull=True, created_at__lt=now - timedelta(days=3))
    for mail in old.only("pk", "created_at").iterator():
        Mail.objects.filter(pk=mail.pk).update(sent_at=mail.created_at)


def _release(clock: TestClock) -> None:
    """From now on the sample's customers live in real time."""
    Subscription.objects.filter(test_clock=clock).update(test_clock=None)
    Customer.objects.filter(test_clock=clock).update(test_clock=None)
