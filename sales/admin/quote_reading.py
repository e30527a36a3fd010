"""What a quote's page shows beside the quote and its options, read by one statement."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from zoneinfo import ZoneInfo

from django.db.models import Q

from billing import bulk, customers, timelines
from billing.models import Event, Plan, Segment, User
from sales import approving, proposing
from sales.admin.reading import fill
from sales.models import Approval, ApprovalRule, Quote, QuoteComment

EVENTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Read:
    """`known` is what prices the options are made of, `plans` what they may be for. `before` is the version that they
    revise, `newer` are later ones, `others` the deal's quotes of another number."""

    known: proposing.Known
    plans: list[Plan]
    rules: list[ApprovalRule]
    bands: customers.Bands
    approvals: list[Approval]
    comments: list[QuoteComment]
    events: list[Event]
    before: dict[str, Quote]
    newer: list[Quote]
    others: list[Quote]

    def zone_of(self, quote: Quote) -> ZoneInfo:
        """Where the buyer is; of a lead nobody knows more than where the seller is."""
        return ZoneInfo(quote.customer.timezone if quote.customer else self.known.seller.timezone)


def read(options: Sequence[Quote], told: Iterable[str] = ()) -> Read:
    """Of a version's options, with the events of the types that are `told`. The subscription that they follow is told its
    phases."""
    own = {each.pk: each for each in options}
    deal, number, subscription = options[0].deal_id, options[0].number, options[0].subscription
    revised = [each.revision_of_id for each in options if each.revision_of_id]
    priced = proposing.wanted(*own, *revised)
    phases = timelines.wanted(subscription) if subscription else ()
    theirs = Quote.objects.filter(pk__in=[*own, *revised]).order_by()
    approvals = Approval.objects.filter(quote__in=[*own])
    tables = iter(
        bulk.read(
            *priced,
            *phases,
            Plan.objects.filter(Q(archived_at=None) | Q(pk__in=theirs.values("plan"))).order_by("rank"),
            approving.rules_in_force(),
            Segment.objects.all(),
            approvals,
            User.objects.filter(pk__in=approvals.order_by().values("decided_by")),
            QuoteComment.objects.filter(quote__in=[*own]),
            Event.objects.filter(object_id__in=[*own], type__in=told).order_by("-at", "-number")[:EVENTS_SHOWN],
            Quote.objects.filter(pk__in=revised),
            Quote.objects.filter(revision_of__in=[*own]),
            Quote.objects.filter(deal=deal).exclude(number=number)[:1] if deal else Quote.objects.none(),
        )
    )  # fmt: skip
    known = proposing.known_of(list(islice(tables, len(priced))))
    if subscription is not None:
        timelines.remember(subscription, list(islice(tables, len(phases))))
    plans, rules, segments, asked, people, comments, events, before, newer, others = tables
    fill(asked, "decided_by", people)
    fill(before, "plan", plans)
    for approval in asked:
        approval.quote = own[approval.quote_id]
    for option in options:
        option.subscription = subscription
    bands = customers.Bands(known.seller.currency, segments)
    revised_rows = {each.pk: each for each in before}
    return Read(known, plans, rules, bands, asked, comments, events, revised_rows, newer, others)


def remember(quotes: Sequence[Quote], known: proposing.Known) -> None:
    """Tell quotes their lines and years: for who only shows them, as asking again brings the same."""
    for each in quotes:
        mine = known.of(each)
        each._prefetched_objects_cache = {"lines": mine.lines, "ramp": mine.ramp}  # type: ignore[attr-defined]
