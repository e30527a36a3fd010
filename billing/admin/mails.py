"""The mails that went out or wait to; and every mail that Tandem writes, with invented facts: when it goes out, and how
it reads.
"""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_safe

from billing import bulk, mail_samples, sending_again
from billing.admin import telling
from billing.admin.base import Screen, badge, now_of, staff
from billing.mail import MOST_ATTEMPTS
from billing.mailbox import MAIL_CSP
from billing.models import Document, Event, Mail, Seller
from billing.templatetags.tandem import spelled

# -- What was sent -----------------------------------------------------------------------------------------


def standing(mail: Mail) -> tuple[str, str]:
    """Whether it went out, in words, and their tone."""
    if mail.sent_at:
        return "Sent", "good"
    if mail.attempts >= MOST_ATTEMPTS:
        return "Given up", "bad"
    return ("Trying again", "warn") if mail.error else ("Waiting", "info")


class StandingFilter(admin.SimpleListFilter):
    """What has not gone out, and what never will by itself."""

    title = "sent"
    parameter_name = "sent"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Sent"), ("no", "Not yet sent"), ("never", "Given up")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Mail]) -> QuerySet[Mail]:
        waiting = queryset.filter(sent_at__isnull=True)
        chosen = {
            "yes": queryset.filter(sent_at__isnull=False), "no": waiting.filter(attempts__lt=MOST_ATTEMPTS),
            "never": waiting.filter(attempts__gte=MOST_ATTEMPTS),
        }  # fmt: skip
        return chosen.get(self.value() or "", queryset)


class KindFilter(admin.SimpleListFilter):
    title = "kind"
    parameter_name = "template"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(one.name, one.label) for one in mail_samples.templates()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Mail]) -> QuerySet[Mail]:
        return queryset.filter(template=self.value()) if self.value() else queryset


def _again(request: HttpRequest, mail: Mail) -> str:
    copy = sending_again.send_again(source=mail, now=now_of(mail), actor=staff(request))
    return f"It goes out to {copy.recipient} once more."


def _ways_again(mail: Mail) -> dict[str, Any]:
    """Where it would go, or why it would not."""
    refusal = sending_again.refusal(mail, now_of(mail))
    return {"not_again": refusal} if refusal else {"goes_to": sending_again.recipient(mail)}


@admin.register(Mail)
class MailAdmin(Screen):
    teaches = (
        "mail",
        "No mail yet",
        "Whatever goes out to buyers, customers and colleagues stands here as they got it.",
    )
    list_display = ("subject", "recipient", "customer", "kind", "went", "created_at")
    list_filter = (StandingFilter, KindFilter)
    list_select_related = ("customer",)
    search_fields = ("recipient", "customer__name", "customer__email")
    while_short = ("subject",)
    grows = True
    ordering = ("-pk",)
    template = "admin/tandem/sent_mail.html"
    acts = {"again": ("billing.send_mail", _again)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Mail]:
        return super().get_queryset(request).select_related("customer", "invoice").defer("html", "text")

    @admin.display(description="kind", ordering="template")
    def kind(self, row: Mail) -> str:
        return spelled(row.template)

    @admin.display(description="status", ordering="sent_at")
    def went(self, row: Mail) -> SafeString:
        return badge(*standing(row))

    def context(self, request: HttpRequest, row: Mail) -> dict[str, Any]:
        more = Mail.more_documents.through.objects.filter(mail=row.pk).values("document")
        papers, events = bulk.read(
            Document.objects.filter(Q(pk=row.document_id) | Q(pk__in=more)).defer("content").order_by("name"),
            Event.objects.filter(Q(pk__in=sending_again.causes(row).values("pk")) | Q(object_id=row.pk)),
        )
        words, tone = standing(row)
        return {
            "title": row.subject, "mail": row, "kind": self.kind(row), "papers": papers, "events": telling.told(events),
            **(_ways_again(row) if self.may(request, row, "again") else {}),
            "standing": words, "standing_tone": tone, "gives_up_after": MOST_ATTEMPTS,
        }  # fmt: skip

    def get_urls(self) -> list[Any]:
        own = path("<path:object_id>/html/", self.admin_site.admin_view(self.html), name="billing_mail_html")
        return [own, *super().get_urls()]

    @method_decorator([xframe_options_sameorigin, csp_override(MAIL_CSP), require_safe])
    def html(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The HTML part by itself, for the sandboxed frame of the page."""
        row = self.find(request, object_id)
        self.refuse_looking(request, row)
        return _framed(row.html)


def _framed(html: str) -> HttpResponse:
    """Links open outside of the frame."""
    return HttpResponse(f'<base target="_blank">{html}')


# -- What there is -----------------------------------------------------------------------------------------


def _refuse(request: HttpRequest) -> None:
    if not request.user.has_perm("billing.view_mail"):  # type: ignore[union-attr]
        raise PermissionDenied


def _frame(request: HttpRequest, title: str) -> dict[str, object]:
    return {**admin.site.each_context(request), "title": title, "opts": Mail._meta}


@require_safe
def gallery(request: HttpRequest) -> HttpResponse:
    _refuse(request)
    context = {**_frame(request, "Mail templates"), "templates": list(mail_samples.templates())}
    return TemplateResponse(request, "admin/tandem/mails.html", context)


@require_safe
def sample(request: HttpRequest, name: str, variant: int = 0) -> HttpResponse:
    """One mail: its subject, how it looks, and its text part."""
    parts = _parts(request, name, variant)
    one = next(each for each in mail_samples.templates() if each.name == name)
    context = {**_frame(request, one.label), "one": one, "parts": parts, "variant": variant}
    return TemplateResponse(request, "admin/tandem/mail.html", context)


@xframe_options_sameorigin
@csp_override(MAIL_CSP)
@require_safe
def html(request: HttpRequest, name: str, variant: int = 0) -> HttpResponse:
    """The HTML part by itself, for the sandboxed frame of `sample`."""
    return _framed(_parts(request, name, variant)["html"])


def _parts(request: HttpRequest, name: str, variant: int) -> dict[str, str]:
    _refuse(request)
    try:
        return mail_samples.sample(name, Seller.objects.get(), timezone.now(), variant)
    except mail_samples.NoSuchMail as error:
        raise Http404 from error
