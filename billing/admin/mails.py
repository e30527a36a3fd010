"""The mails that Tandem writes, with invented facts: what there is, when it goes out, and how it reads."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_safe

from billing import mail_samples
from billing.mailbox import MAIL_CSP
from billing.models import Mail, Seller


def _refuse(request: HttpRequest) -> None:
    if not request.user.has_perm("billing.view_mail"):  # type: ignore[union-attr]
        raise PermissionDenied


def _frame(request: HttpRequest, title: str) -> dict[str, object]:
    return {**admin.site.each_context(request), "title": title, "opts": Mail._meta}


@require_safe
def gallery(request: HttpRequest) -> HttpResponse:
    _refuse(request)
    context = {**_frame(request, "Mails"), "templates": list(mail_samples.templates())}
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
    return HttpResponse(f'<base target="_blank">{_parts(request, name, variant)["html"]}')


def _parts(request: HttpRequest, name: str, variant: int) -> dict[str, str]:
    _refuse(request)
    try:
        return mail_samples.sample(name, Seller.objects.get(), timezone.now(), variant)
    except mail_samples.NoSuchMail as error:
        raise Http404 from error
