"""The figures of the hybrid motion, MRR by month, and the customers behind each figure."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing import typed
from billing.api.fields import Day, Number, Strict, Text
from billing.api.problems import FieldProblem, Problem
from billing.api.schema import operation
from billing.api.views import ApiView
from billing.maths.money import to_major
from billing.maths.periods import add_months
from sales import closing, metrics

TAG = "Metrics"
LONGEST = timedelta(days=3700)
MOST_CUSTOMERS = 1000


class Share(Number):
    """A percentage or ratio; null where there is nothing to divide by."""

    def to_representation(self, value: Decimal) -> str:
        return f"{value:.2f}"


class RangeQuery(Strict):
    """`from` and `to` are days of UTC; the last one does not belong to the range."""

    to = Day(required=False, help_text="tomorrow where nothing is said")
    currency = Text(required=False, help_text="USD where nothing is said")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        since = Day(
            required=False, help_text="the first of the month twelve months ago where nothing is said"
        )
        return {"from": since, **super().get_fields()}


class CurrencyQuery(Strict):
    currency = Text(required=False, help_text="USD where nothing is said")


class CustomersQuery(RangeQuery):
    limit = serializers.IntegerField(min_value=1, max_value=MOST_CUSTOMERS, default=100)


class ExpansionOut(serializers.Serializer[Any]):
    motion = serializers.CharField()
    cause = serializers.CharField()
    amount = serializers.CharField()


class CohortOut(serializers.Serializer[Any]):
    month = serializers.CharField()
    began = serializers.IntegerField()
    converted = serializers.IntegerField()
    percent = Share(allow_null=True)


class HybridOut(serializers.Serializer[Any]):
    start = Day()
    end = Day()
    currency = serializers.CharField()
    revenue = serializers.CharField(help_text="invoiced, net of tax, discounts and credit notes")
    self_serve_revenue = serializers.CharField()
    sales_assisted_revenue = serializers.CharField(help_text="with sales, light or high")
    self_serve_percent = Share(allow_null=True)
    sales_assisted_percent = Share(allow_null=True, help_text="with the one above it sums to 100")
    conversion_percent = Share(allow_null=True, help_text="self-serve to sales")
    conversion_began = serializers.IntegerField(help_text="customers who began self-serve")
    conversion_converted = serializers.IntegerField()
    conversion_cohorts = CohortOut(many=True, help_text="by the month of the first payment")
    expansion_revenue = serializers.CharField(help_text="positive MRR changes of who had MRR at the start")
    expansion = ExpansionOut(many=True)
    land_and_expand_customers = serializers.IntegerField(help_text="at least twelve months old")
    land_and_expand_ratio = Share(allow_null=True)
    land_and_expand_ratio_without_churned = Share(allow_null=True)


class MonthOut(serializers.Serializer[Any]):
    month = serializers.CharField()
    new = serializers.CharField()
    expansion = serializers.CharField()
    contraction = serializers.CharField()
    churn = serializers.CharField()
    reactivation = serializers.CharField()
    mrr = serializers.CharField(help_text="at its end")
    arr = serializers.CharField(help_text="twelve times that")


class MrrOut(serializers.Serializer[Any]):
    start = Day()
    end = Day()
    currency = serializers.CharField()
    nrr_percent = Share(
        allow_null=True, help_text="net retention of who had MRR at the start: with what they added"
    )
    grr_percent = Share(allow_null=True, help_text="gross retention: without it, so 100 at most")
    customers_at_start = serializers.IntegerField(help_text="who had MRR at the start")
    mrr_at_start = serializers.CharField()
    mrr_retained = serializers.CharField(
        help_text="at the end, of the customers at the start alone; of everybody: the last month's mrr"
    )
    months = MonthOut(many=True)


class StageOut(serializers.Serializer[Any]):
    stage = serializers.CharField()
    deals = serializers.IntegerField()
    amount = serializers.CharField(help_text="first-year value")
    weighted = serializers.CharField(help_text="by the stage's chance")


class ClosedOut(serializers.Serializer[Any]):
    rule = serializers.CharField()
    signals = serializers.IntegerField(help_text="that occurred in the range")
    customers = serializers.IntegerField(help_text="that they are about")
    won = serializers.IntegerField(help_text="of these customers, since")
    percent = Share(allow_null=True)
    amount = serializers.CharField(help_text="of the deals that were won")
    days = Number(allow_null=True, help_text="from the first signal to the close, on average")


class RepOut(serializers.Serializer[Any]):
    owner = serializers.CharField(allow_null=True, help_text="their e-mail; null for what nobody owns")
    name = serializers.CharField()
    tasks = serializers.IntegerField(help_text="open handoff tasks, of every currency")
    late = serializers.IntegerField(help_text="those past their day that are not snoozed")
    quotes = serializers.IntegerField(help_text="with buyers")
    deals = serializers.IntegerField(help_text="open")
    amount = serializers.CharField(help_text="of the open deals, first-year value")
    weighted = serializers.CharField(help_text="by the stages' chances")
    won = serializers.IntegerField(help_text="deals that were won in the range")
    won_amount = serializers.CharField()


class BehindOut(serializers.Serializer[Any]):
    customer = serializers.CharField()
    name = serializers.CharField()
    what = serializers.CharField(
        help_text="motion, motion and cause, outcome, the ARR at close, or the MRR at the start"
    )
    amount = serializers.CharField()


class MetricsView(ApiView):
    def scope(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The range in instants. Raises Problem (400)."""
        today = self.now().astimezone(UTC).date()
        end = asked.get("to") or today + timedelta(days=1)
        start = asked.get("from") or add_months(end.replace(day=1), -12)
        if not start < end <= start + LONGEST:
            words = f"The range ends after it begins, and has at most {LONGEST.days} days."
            raise Problem(400, "invalid_range", words, [FieldProblem("to", "invalid_range", words)])
        currency = typed.currency(asked.get("currency", "USD"))
        return {
            "start": _midnight(start),
            "end": _midnight(end),
            "currency": currency,
            "livemode": self.livemode,
        }


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


class HybridMetrics(MetricsView):
    @operation(
        "The figures of the hybrid motion", tag=TAG, name="read_hybrid_metrics", query=RangeQuery,
        answer=HybridOut,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        scope = self.scope(self.asked(RangeQuery))
        return self.answer(HybridOut, _hybrid(metrics.hybrid(**scope), metrics.conversion_by_cohort(**scope)))


def _hybrid(found: metrics.Hybrid, cohorts: list[tuple[str, metrics.Conversion]]) -> dict[str, Any]:
    money, revenue = _money(found.currency), found.revenue
    return {
        "start": found.start.date(), "end": found.end.date(), "currency": found.currency,
        "revenue": money(revenue.total), "self_serve_revenue": money(revenue.self_serve),
        "sales_assisted_revenue": money(revenue.sales_assisted + revenue.sales_led),
        "self_serve_percent": revenue.self_serve_share, "sales_assisted_percent": revenue.sales_assisted_share,
        "conversion_percent": found.conversion.share, "conversion_began": found.conversion.began,
        "conversion_converted": found.conversion.converted,
        "conversion_cohorts": [
            {"month": month, "began": one.began, "converted": one.converted, "percent": one.share}
            for month, one in cohorts
        ],
        "expansion_revenue": money(found.expansion.total),
        "expansion": [
            {"motion": motion, "cause": cause, "amount": money(amount)}
            for motion, cause, amount in found.expansion.rows
        ],
        "land_and_expand_customers": found.land_and_expand.customers,
        "land_and_expand_ratio": found.land_and_expand.ratio,
        "land_and_expand_ratio_without_churned": found.land_and_expand.ratio_without_churned,
    }  # fmt: skip


class MrrMetrics(MetricsView):
    @operation("MRR month by month", tag=TAG, name="read_mrr", query=RangeQuery, answer=MrrOut)
    def get(self, request: Request) -> Response:
        scope = self.scope(self.asked(RangeQuery))
        money = _money(scope["currency"])
        months = [_month(row, money) for row in metrics.months(**scope)]
        shown = {"start": scope["start"].date(), "end": scope["end"].date(), "currency": scope["currency"]}
        return self.answer(
            MrrOut, {**shown, **_retained(metrics.retention(**scope), money), "months": months}
        )


def _retained(found: metrics.Retention, money: Any) -> dict[str, Any]:
    return {
        "nrr_percent": found.net, "grr_percent": found.gross, "customers_at_start": found.customers,
        "mrr_at_start": money(found.at_start), "mrr_retained": money(found.at_end),
    }  # fmt: skip


MOVED = ("new", "expansion", "contraction", "churn", "reactivation", "mrr")


def _month(row: metrics.Month, money: Any) -> dict[str, str]:
    moved = {name: money(getattr(row, name)) for name in MOVED}
    return {"month": row.month, **moved, "arr": money(12 * row.mrr)}


class Pipeline(MetricsView):
    @operation(
        "The open deals by stage", tag=TAG, name="read_pipeline", query=CurrencyQuery, page=StageOut,
        description="As they stand now.",
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        asked = self.asked(CurrencyQuery)
        currency = typed.currency(asked.get("currency", "USD"))
        money, rows = _money(currency), closing.pipeline(currency=currency, livemode=self.livemode)
        shown = [
            {"stage": r.stage, "deals": r.deals, "amount": money(r.amount), "weighted": money(r.weighted)}
            for r in rows
        ]
        return self.list_of(StageOut, shown)


class SignalsToClose(MetricsView):
    @operation(
        "From signal to close, by rule", tag=TAG, name="read_signals_to_close", query=RangeQuery, page=ClosedOut,
        description="Who was won by several rules counts for each of them.",
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        scope = self.scope(self.asked(RangeQuery))
        money = _money(scope["currency"])
        rows = [
            {"rule": r.rule, "signals": r.signals, "customers": r.customers, "won": r.won, "percent": r.share,
             "amount": money(r.amount), "days": r.days}
            for r in closing.by_rule(**scope)
        ]  # fmt: skip
        return self.list_of(ClosedOut, rows)


class Reps(MetricsView):
    @operation(
        "What each rep has in hand, and won", tag=TAG, name="read_reps", query=RangeQuery, page=RepOut,
        description="In hand as it stands now, won in the range. By name; what nobody owns comes last.",
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        scope = self.scope(self.asked(RangeQuery))
        money, now = _money(scope["currency"]), self.now()
        rows = [
            {"owner": r.email or None, "name": r.name, "tasks": r.tasks, "late": r.late, "quotes": r.quotes,
             "deals": r.deals, "amount": money(r.amount), "weighted": money(r.weighted), "won": r.won,
             "won_amount": money(r.won_amount)}
            for r in closing.by_rep(**scope, today=now.astimezone(UTC).date(), now=now)
        ]  # fmt: skip
        return self.list_of(RepOut, rows)


class MetricCustomers(MetricsView):
    @operation(
        "The customers behind a figure", tag=TAG, name="list_metric_customers", query=CustomersQuery,
        page=BehindOut,
        description="`figure`: revenue, conversion, expansion, land_and_expand, retention or mrr; the largest first.",
    )  # fmt: skip
    def get(self, request: Request, figure: str) -> Response:
        asked = self.asked(CustomersQuery)
        scope, limit = self.scope(asked), asked["limit"]
        if figure not in metrics.BEHIND:
            raise Problem(404, "not_found", "There is no such figure.")
        money = _money(scope["currency"])
        rows = [
            {
                "customer": pk, "name": name, "amount": money(amount),
                "what": money(int(what)) if figure in ("land_and_expand", "retention") else what,
            }
            for pk, name, what, amount in metrics.behind(figure, limit=limit, **scope)
        ]  # fmt: skip
        return self.list_of(BehindOut, rows)


def _money(currency: str) -> Any:
    return lambda amount: to_major(amount, currency)
