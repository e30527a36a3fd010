"""The metrics page: five figures of the hybrid motion, MRR by month, and the customers behind each figure."""

import csv
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from billing import witnessing
from billing.admin.base import person
from billing.maths.money import to_major
from billing.maths.periods import add_months
from billing.models.customers import Motion
from billing.models.subscriptions import MrrMovement
from billing.papers.text import spreadsheet_text
from sales import closing, metrics

SHOWN = 500
FIGURES = {
    "revenue": ("Revenue by motion", "Motion", "Net revenue"),
    "conversion": ("Self-serve to sales", "Outcome", "ARR today"),
    "expansion": ("Expansion revenue", "Motion and cause", "MRR added"),
    "land_and_expand": ("Land and expand", "ARR at close", "ARR at month 12"),
    "retention": ("Retention", "MRR at the start", "MRR at the end"),
}
CLOSING, REPS = "closing", "reps"
TABS = (("", "Hybrid motion"), ("retention", "Retention"), (CLOSING, "Pipeline and signals"))
MOVEMENTS = ("New", "Expansion", "Reactivation", "Contraction", "Churn")
LONGEST = timedelta(days=3700)


class RangeForm(forms.Form):
    """Days are UTC, the last one included."""

    since = forms.DateField(label="From", widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(label="To", widget=forms.DateInput({"type": "date"}))
    currency = forms.ChoiceField()

    def __init__(self, *args: Any, currencies: list[str], **options: Any) -> None:
        super().__init__(*args, **options)
        chosen: Any = self.fields["currency"]
        chosen.choices = [(code, code) for code in currencies]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        since, until = data.get("since"), data.get("until")
        if since and until and until < since:
            self.add_error("until", "The range ends before it begins.")
        elif since and until and until - since > LONGEST:
            self.add_error("since", "Choose at most ten years.")
        return data


@dataclass(frozen=True, slots=True)
class Range:
    """[since, until] in whole days of UTC, in one currency."""

    since: date
    until: date
    currency: str

    @property
    def scope(self) -> dict[str, Any]:
        return {
            "start": datetime.combine(self.since, time(), UTC),
            "end": datetime.combine(self.until + timedelta(days=1), time(), UTC),
            "currency": self.currency,
            "livemode": settings.STRIPE_LIVE_MODE,
        }

    @property
    def query(self) -> str:
        return urlencode({"since": self.since, "until": self.until, "currency": self.currency})


def usual(today: date, currencies: list[str]) -> Range:
    """Twelve months, this one included, in the currency that is used most."""
    return Range(add_months(today.replace(day=1), -11), today, currencies[0])


def page(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm("billing.view_invoice"):
        raise PermissionDenied
    currencies = metrics.currencies(settings.STRIPE_LIVE_MODE) or ["USD"]
    form, chosen = _chosen(request, currencies)
    figure = request.GET.get("figure", "")
    if request.GET.get("format") == "csv":
        return _sheet(request, figure, chosen)
    if figure and figure not in (*FIGURES, CLOSING):
        raise Http404
    context = {
        **admin.site.each_context(request), "form": form, "range": chosen, "presets": _presets(chosen),
        "tabs": _tabs(figure, chosen), **_shown(figure, chosen),
    }  # fmt: skip
    status = 422 if form.is_bound and form.errors else 200
    return TemplateResponse(request, "admin/tandem/metrics.html", context, status=status)


def _sheet(request: HttpRequest, figure: str, chosen: Range) -> HttpResponse:
    witnessing.exported(request, person(request), f"Metrics as CSV ({figure or 'by month'})")
    own = {"": _months_csv, CLOSING: _closing_csv, REPS: _reps_csv}
    if figure in own:
        return own[figure](chosen)
    if figure in FIGURES:
        return _figure_csv(figure, chosen)
    raise Http404


def _chosen(request: HttpRequest, currencies: list[str]) -> tuple[RangeForm, Range]:
    """The form, and the range that counts: the usual one while what was typed is wrong."""
    today = timezone.now().astimezone(UTC).date()
    standard = usual(today, currencies)
    given = {
        "since": standard.since,
        "until": standard.until,
        "currency": standard.currency,
        **request.GET.dict(),
    }
    form = RangeForm(given, currencies=currencies)
    if form.is_valid():
        return form, Range(
            form.cleaned_data["since"], form.cleaned_data["until"], form.cleaned_data["currency"]
        )
    return form, standard


def _presets(chosen: Range) -> list[dict[str, Any]]:
    made = []
    for months, label in ((3, "3 mo."), (6, "6 mo."), (12, "12 mo."), (24, "24 mo.")):
        since = add_months(chosen.until.replace(day=1), 1 - months)
        query = Range(since, chosen.until, chosen.currency).query
        made.append({"label": label, "href": f"?{query}", "current": since == chosen.since})
    return made


def _tabs(figure: str, chosen: Range) -> list[dict[str, Any]]:
    """Nothing for what is behind one of the five figures: its way back leads to them."""
    if figure not in [name for name, _ in TABS]:
        return []
    query = chosen.query
    return [
        {
            "label": label,
            "href": f"?{query}&figure={name}" if name else f"?{query}",
            "current": name == figure,
        }
        for name, label in TABS
    ]


def _shown(figure: str, chosen: Range) -> dict[str, Any]:
    if figure == CLOSING:
        return _closing(chosen)
    if figure == "retention":
        return {**_behind(figure, chosen), "retention": metrics.retention(**chosen.scope)}
    return _behind(figure, chosen) if figure else _overview(chosen)


def _closing(chosen: Range) -> dict[str, Any]:
    stages = closing.pipeline(currency=chosen.currency, livemode=settings.STRIPE_LIVE_MODE)
    return {
        "title": "Pipeline and signals", "figure": CLOSING, "stages": stages, "rules": closing.by_rule(**chosen.scope),
        "pipeline": sum(each.amount for each in stages), "weighted": sum(each.weighted for each in stages),
        "open_deals": sum(each.deals for each in stages),
        "reps": _reps(chosen),
    }  # fmt: skip


def _reps(chosen: Range) -> list[closing.Rep]:
    return closing.by_rep(**chosen.scope, today=timezone.localdate(), now=timezone.now())


def _closing_csv(chosen: Range) -> HttpResponse:
    rows = [
        [
            each.name, each.signals, each.dismissed, each.customers, each.won, each.share,
            to_major(each.amount, chosen.currency), each.days,
        ]
        for each in closing.by_rule(**chosen.scope)
    ]  # fmt: skip
    head = [
        "rule",
        "signals",
        "dismissed",
        "customers",
        "won",
        "percent",
        f"won {chosen.currency}",
        "days to close",
    ]
    return _csv(f"signals-{chosen.since}-{chosen.until}", head, rows)


def _reps_csv(chosen: Range) -> HttpResponse:
    currency = chosen.currency
    rows = [
        [
            spreadsheet_text(each.name), spreadsheet_text(each.email), each.tasks, each.late, each.quotes, each.deals,
            to_major(each.amount, currency), to_major(each.weighted, currency), each.won,
            to_major(each.won_amount, currency),
        ]
        for each in _reps(chosen)
    ]  # fmt: skip
    head = [
        "rep", "e-mail", "tasks", "late", "quotes out", "deals", f"amount {currency}", f"weighted {currency}", "won",
        f"won {currency}",
    ]  # fmt: skip
    return _csv(f"reps-{chosen.since}-{chosen.until}", head, rows)


def _overview(chosen: Range) -> dict[str, Any]:
    found, rows = metrics.overview(**chosen.scope)
    currency = chosen.currency
    return {
        "title": "Metrics",
        "found": found,
        "motions": _motions(found.revenue),
        "causes": [(words(motion, cause), amount) for motion, cause, amount in found.expansion.rows],
        "months": rows,
        "mrr_rows": [(_month(row.month), [_major(row.mrr, currency)]) for row in rows],
        "mrr_series": ["MRR"],
        "growth_rows": [
            (_month(row.month), [_major(n, currency) for n in (row.new, row.expansion, row.reactivation)])
            for row in rows
        ],
        "growth_series": list(MOVEMENTS[:3]),
        "last": rows[-1] if rows else None,
        "nothing": not found.revenue.total and not any(row.mrr for row in rows),
        "format": f"money:{currency}",
    }


def _motions(revenue: metrics.Revenue) -> list[tuple[str, int]]:
    return [(str(Motion(name).label), getattr(revenue, name)) for name in Motion.values]


def words(motion: str, cause: str) -> str:
    return f"{Motion(motion).label}, {MrrMovement.Cause(cause).label.lower()}"


def _behind(figure: str, chosen: Range) -> dict[str, Any]:
    title, what, amount = FIGURES[figure]
    rows = metrics.behind(figure, **chosen.scope, limit=SHOWN + 1)
    cohorts = metrics.conversion_by_cohort(**chosen.scope) if figure == "conversion" else []
    return {
        "title": title, "figure": figure, "what": what, "amount": amount, "more": len(rows) > SHOWN,
        "rows": [(pk, name, _what(figure, text, chosen.currency), n) for pk, name, text, n in rows[:SHOWN]],
        "total": sum(n for *_, n in rows) if len(rows) <= SHOWN and figure != "conversion" else None,
        "cohorts": cohorts,
    }  # fmt: skip


def _what(figure: str, text: str, currency: str) -> str:
    if figure == "revenue":
        return str(Motion(text).label)
    if figure == "expansion":
        return words(*text.split(" · "))
    if figure == "conversion":
        return "Taken on by sales" if text == "converted" else "Still self-serve"
    return f"{to_major(int(text), currency)} {currency}"


def _month(text: str) -> str:
    return f"{date.fromisoformat(text + '-01'):%b %y}"


def _major(minor: int, currency: str) -> Decimal:
    return Decimal(to_major(minor, currency))


def _csv(name: str, head: list[str], rows: list[list[Any]]) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    sheet = csv.writer(response)
    sheet.writerow(head)
    sheet.writerows(rows)
    return response


def _figure_csv(figure: str, chosen: Range) -> HttpResponse:
    """Everybody behind a figure, however many."""
    _, what, amount = FIGURES[figure]
    rows = [
        [
            pk,
            spreadsheet_text(name),
            _what(figure, text, chosen.currency),
            to_major(n, chosen.currency),
            chosen.currency,
        ]
        for pk, name, text, n in metrics.behind(figure, **chosen.scope, limit=None)
    ]
    head = ["customer", "name", what.lower(), amount.lower(), "currency"]
    return _csv(f"{figure}-{chosen.since}-{chosen.until}", head, rows)


def _months_csv(chosen: Range) -> HttpResponse:
    names = ["new", "expansion", "reactivation", "contraction", "churn", "mrr"]
    rows = [
        [row.month, *(to_major(getattr(row, name), chosen.currency) for name in names), chosen.currency]
        for row in metrics.months(**chosen.scope)
    ]
    return _csv(f"mrr-{chosen.since}-{chosen.until}", ["month", *names, "currency"], rows)
