"""For whoever connects the seller's own systems: events, webhooks and their deliveries, API keys, test clocks."""

from datetime import UTC, timedelta
from operator import itemgetter
from typing import Any

import orjson
from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from billing import clocks, forgetting, keys, running, webhooks_out
from billing.admin import telling
from billing.admin.base import Makeable, Screen, figure, filled_in, staff, state
from billing.events import TYPES
from billing.models import ApiKey, Event, TestClock, WebhookDelivery, WebhookEndpoint

DELIVERIES_SHOWN = 50


class Instant(forms.DateTimeField):
    """A moment in UTC, to the minute."""

    def __init__(self, **options: Any) -> None:
        widget = forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
        super().__init__(widget=widget, input_formats=formats, help_text="UTC", **options)

    def clean(self, value: Any) -> Any:
        found = super().clean(value)
        return found.replace(tzinfo=UTC) if found else None


class Secretive(Makeable):
    """What is made has a secret."""

    def once(self, request: HttpRequest, row: Any, secret: str, words: str) -> HttpResponse:
        """The page on which a secret is shown, and never again."""
        context = {
            **self.admin_site.each_context(request), "title": str(row), "opts": self.opts, "secret": secret,
            "words": words, "onwards": _page(row),
        }  # fmt: skip
        return TemplateResponse(request, "admin/tandem/secret.html", context)


def _by(request: HttpRequest) -> dict[str, Any]:
    return {"actor": staff(request), "now": timezone.now()}


def _page(row: Any) -> str:
    return reverse(f"admin:billing_{row._meta.model_name}_change", args=[row.pk])


def _side(label: str) -> forms.TypedChoiceField:
    choices = [("test", "sandbox customers"), ("live", "live customers")]
    return forms.TypedChoiceField(label=label, choices=choices, coerce=lambda side: side == "live")


# -- Webhooks ---------------------------------------------------------------------------------------------


class EndpointForm(forms.Form):
    url = forms.CharField(label="Address", max_length=500, widget=forms.URLInput({"placeholder": "https://"}))
    description = forms.CharField(label="What it is", max_length=200, required=False)
    event_types = forms.CharField(
        label="Event types", required=False, widget=forms.Textarea({"rows": 4, "spellcheck": "false"}),
        help_text="One on each line, such as invoice.paid. None: every type but user.*.",
    )  # fmt: skip

    def clean_event_types(self) -> list[str]:
        return self.cleaned_data["event_types"].replace(",", " ").split()


class NewEndpointForm(EndpointForm):
    livemode = _side("Hears of")


class ReplayForm(forms.Form):
    since = Instant(label="From")
    until = Instant(label="Until", required=False)


def _save(request: HttpRequest, endpoint: WebhookEndpoint) -> str:
    form = filled_in(EndpointForm(request.POST))
    webhooks_out.update(endpoint=endpoint, **_by(request), **form.cleaned_data)
    return "Saved."


def _enable(request: HttpRequest, endpoint: WebhookEndpoint) -> str:
    webhooks_out.update(endpoint=endpoint, **_by(request), enabled=True)
    webhooks_out.wake()
    return "It is on. What waited is being sent."


def _disable(request: HttpRequest, endpoint: WebhookEndpoint) -> str:
    webhooks_out.update(endpoint=endpoint, **_by(request), enabled=False)
    return "It is off."


def _rotate(request: HttpRequest, endpoint: WebhookEndpoint) -> HttpResponse:
    secret = webhooks_out.rotate(endpoint=endpoint, **_by(request))
    words = "For 24 hours the old secret signs as well; give this one to the receiver until then."
    screen: Any = admin.site._registry[WebhookEndpoint]
    answer: HttpResponse = screen.once(request, endpoint, secret, words)
    return answer


def _test(request: HttpRequest, endpoint: WebhookEndpoint) -> str:
    return _page(webhooks_out.test(endpoint=endpoint, now=timezone.now()))


def _replay(request: HttpRequest, endpoint: WebhookEndpoint) -> str:
    typed, by = filled_in(ReplayForm(request.POST)).cleaned_data, _by(request)
    until = typed["until"] or by["now"]
    count = webhooks_out.replay(endpoint=endpoint, since=typed["since"], until=until, **by)
    return f"{count} events are being sent."


def _remove(request: HttpRequest, endpoint: WebhookEndpoint) -> str:
    webhooks_out.remove(endpoint=endpoint, **_by(request))
    messages.success(request, "The endpoint and its log are gone.")
    return reverse("admin:billing_webhookendpoint_changelist")


CHANGE = "billing.change_webhookendpoint"


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(Secretive):
    teaches = (
        "webhook",
        "No endpoint yet",
        "Add the address of your own system, and it hears of every event: signed, in order, retried for three days.",
    )
    list_display = ("url", "description", "state", "side", "types", "last_success_at")
    search_fields = ("url", "description")
    ordering = ("-created_at",)
    template = "admin/tandem/webhook_endpoint.html"
    form_class = NewEndpointForm
    new_title = "New webhook endpoint"
    list_title = "Webhook endpoints"
    acts = {
        "save": (CHANGE, _save), "enable": (CHANGE, _enable), "disable": (CHANGE, _disable),
        "rotate": (CHANGE, _rotate), "test": (CHANGE, _test), "replay": (CHANGE, _replay),
        "remove": ("billing.delete_webhookendpoint", _remove),
    }  # fmt: skip

    @admin.display(description="state")
    def state(self, row: WebhookEndpoint) -> str:
        return row.status.capitalize()

    @admin.display(description="hears of", ordering="livemode")
    def side(self, row: WebhookEndpoint) -> str:
        return "live" if row.livemode else "sandbox"

    @admin.display(description="event types")
    def types(self, row: WebhookEndpoint) -> str:
        return ", ".join(row.event_types[:3]) + (" …" if len(row.event_types) > 3 else "") or "every type"

    def make(self, request: HttpRequest, typed: dict[str, Any]) -> HttpResponse:
        endpoint, secret = webhooks_out.create(**typed, **_by(request))
        words = "Give it to the receiver: it checks with it that a request is ours."
        return self.once(request, endpoint, secret, words)

    def context(self, request: HttpRequest, row: WebhookEndpoint) -> dict[str, Any]:
        initial = {"url": row.url, "description": row.description, "event_types": "\n".join(row.event_types)}
        action, status = request.POST.get("action"), request.GET.get("status", "")
        form = EndpointForm(request.POST if action == "save" else None, initial=initial)
        replay = ReplayForm(
            request.POST if action == "replay" else None,
            initial={"since": timezone.now() - timedelta(days=1)},
        )
        log = row.deliveries.select_related("event").order_by("-id")
        return {
            "form": replay if action == "replay" else form, "settings_form": form, "replay_form": replay,
            "log": (log.filter(status=status) if status else log)[:DELIVERIES_SHOWN],
            "waiting": row.deliveries.filter(status="pending").count(), "known_types": sorted(TYPES),
            "tabs": [
                {"label": label, "href": f"?status={value}#log" if value else "?#log", "current": status == value}
                for value, label in [("", "All"), *WebhookDelivery.Status.choices]
            ],
        }  # fmt: skip


def _again(request: HttpRequest, delivery: WebhookDelivery) -> str:
    webhooks_out.redeliver(delivery=delivery, **_by(request))
    webhooks_out.wake()
    return "It is being sent again."


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(Screen):
    teaches = (
        "send",
        "Nothing sent yet",
        "Every call to an endpoint stands here with what it answered, and can be sent again.",
    )
    list_display = ("created_at", "type", "object_id", "endpoint", state(), figure("attempts"), "next_at")
    list_filter = ("status", "endpoint")
    search_fields = ("object_id",)
    while_short = ("event__type",)
    grows = True
    list_select_related = ("endpoint", "event")
    ordering = ("-id",)
    template = "admin/tandem/webhook_delivery.html"
    acts = {"again": (CHANGE, _again)}

    def context(self, request: HttpRequest, row: WebhookDelivery) -> dict[str, Any]:
        return {"body": _pretty(orjson.loads(webhooks_out.body(row))), "tries": row.tries.all()}


def _pretty(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


class TypeFilter(admin.SimpleListFilter):
    """The types that there are, not those of the rows: there may be millions."""

    title = "what happened"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return sorted(((type, telling.title(type)) for type in TYPES), key=itemgetter(1))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        return queryset.filter(type=self.value()) if self.value() else queryset


@admin.register(Event)
class EventAdmin(Screen):
    list_display = ("at", "what", "customer", "type", "object_id")
    list_filter = (TypeFilter, "livemode")
    search_fields = ("object_id", "customer__name")
    grows = True
    list_select_related = ("customer",)
    ordering = ("-number",)
    template = "admin/tandem/event.html"

    @admin.display(description="what happened")
    def what(self, row: Event) -> str:
        return telling.title(row.type)

    def context(self, request: HttpRequest, row: Event) -> dict[str, Any]:
        near = Event.objects.filter(object_id=row.object_id).order_by("sequence")
        return {
            "body": _pretty(webhooks_out.as_data(row)), "deliveries": row.deliveries.select_related("endpoint"),
            "title": telling.title(row.type),
            "others": telling.told(near[max(row.sequence - 6, 0) : row.sequence + 5]),
        }  # fmt: skip


# -- API keys ---------------------------------------------------------------------------------------------


class KeyForm(forms.Form):
    name = forms.CharField(label="What it is for", max_length=100)
    livemode = _side("Sees")
    scopes = forms.MultipleChoiceField(
        label="May", choices=[(scope, scope) for scope in keys.SCOPES], initial=keys.SCOPES,
        widget=forms.CheckboxSelectMultiple, help_text="“write” includes all others.",
    )  # fmt: skip


def _revoke(request: HttpRequest, key: ApiKey) -> str:
    keys.revoke(key=key, now=timezone.now())
    admin.site.get_model_admin(ApiKey).log_change(request, key, "Taken away")
    return "From now on this key opens nothing."


@admin.register(ApiKey)
class ApiKeyAdmin(Secretive):
    teaches = (
        "key-round",
        "No API key yet",
        "Your product calls the API with a key: one for each of its parts, with no more rights than it needs.",
    )
    list_display = ("name", "prefix", "livemode", "scopes", "created_at", "last_used_at", "revoked_at")
    list_filter = ("livemode",)
    search_fields = ("name", "prefix")
    ordering = ("-pk",)
    template = "admin/tandem/api_key.html"
    form_class = KeyForm
    new_title = "New API key"
    list_title = "API keys"
    acts = {"revoke": ("billing.change_apikey", _revoke)}
    guarded = frozenset({"make"})

    def make(self, request: HttpRequest, typed: dict[str, Any]) -> HttpResponse:
        key, secret = keys.issue(**typed, now=timezone.now())
        self.log_addition(request, key, f"{'live' if key.livemode else 'test'}: {', '.join(key.scopes)}")
        return self.once(request, key, secret, "Send it as Authorization: Bearer. Only its hash is kept.")


# -- Test clocks ------------------------------------------------------------------------------------------


class ClockForm(forms.Form):
    time = Instant(label="Its time", initial=timezone.now)
    name = forms.CharField(label="Name", max_length=100, required=False)


class AdvanceForm(forms.Form):
    to = Instant(label="To")


def _advance(request: HttpRequest, clock: TestClock) -> str:
    to = filled_in(AdvanceForm(request.POST)).cleaned_data["to"]
    running.send_on(clock=clock, to=to, actor=staff(request))
    return f"It is on its way to {to:%-d %B %Y, %H:%M}, and everything due happens in its order. Look again soon."


def _remove_clock(request: HttpRequest, clock: TestClock) -> str:
    forgetting.delete_clock(clock=clock, **_by(request))
    messages.success(request, "The clock and its customers are gone.")
    return reverse("admin:billing_testclock_changelist")


@admin.register(TestClock)
class TestClockAdmin(Makeable):
    teaches = (
        "alarm-clock",
        "No test clock yet",
        "Customers of a clock live at its time: move it on a year and see every invoice, reminder and renewal.",
    )
    list_display = ("__str__", "now", state(), "series_code", "created_at")
    search_fields = ("name",)
    ordering = ("-created_at",)
    template = "admin/tandem/test_clock.html"
    form_class = ClockForm
    new_title = "New test clock"
    list_title = "Test clocks"
    acts = {
        "advance": ("billing.change_testclock", _advance),
        "remove": ("billing.delete_testclock", _remove_clock),
    }

    def make(self, request: HttpRequest, typed: dict[str, Any]) -> HttpResponse:
        return redirect(_page(clocks.create(**typed, actor=staff(request))))

    def context(self, request: HttpRequest, row: TestClock) -> dict[str, Any]:
        sent = request.POST if request.POST.get("action") == "advance" else None
        form = AdvanceForm(sent, initial={"to": row.now + timedelta(days=31)})
        return {"form": form, "customers": row.customer_set.order_by("name")[:50]}
