"""`/mail/`: the mails that were kept instead of sent. There in the demo and in development only."""

from collections.abc import Callable

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils.csp import CSP
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_safe

from billing.models import Document, KeptMail

# A mail brings its own styles and nothing else; links open outside of the frame that shows it.
MAIL_CSP: dict[str, list[str]] = {
    "default-src": [CSP.NONE],
    "style-src": [CSP.UNSAFE_INLINE],
    "img-src": [CSP.SELF, "data:"],
    "frame-ancestors": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.NONE],
    "sandbox": ["allow-popups", "allow-popups-to-escape-sandbox"],
}


def shown(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """404 wherever mails of real people could be kept."""

    def guarded(request: HttpRequest, **parts: int) -> HttpResponse:
        if not (settings.DEMO or settings.DEBUG):
            raise Http404
        return view(request, **parts)

    return never_cache(require_safe(guarded))


@shown
def inbox(request: HttpRequest) -> HttpResponse:
    mails = KeptMail.objects.defer("html")
    if to := request.GET.get("to", "").replace("\x00", ""):
        mails = mails.filter(recipient__icontains=to)
    page = Paginator(mails, 50).get_page(request.GET.get("page"))
    return render(request, "mailbox/inbox.html", {"page": page, "to": to})


@shown
def detail(request: HttpRequest, number: int) -> HttpResponse:
    return render(request, "mailbox/mail.html", {"mail": get_object_or_404(KeptMail, pk=number)})


@xframe_options_sameorigin
@csp_override(MAIL_CSP)
@shown
def html(request: HttpRequest, number: int) -> HttpResponse:
    """The HTML part by itself, for the sandboxed frame of `detail`."""
    mail = get_object_or_404(KeptMail, pk=number)
    return HttpResponse(f'<base target="_blank">{mail.html}')


@shown
def attachment(request: HttpRequest, number: int, index: int) -> HttpResponse:
    mail = get_object_or_404(KeptMail, pk=number)
    if index >= len(mail.attachments):
        raise Http404
    paper = get_object_or_404(Document, pk=mail.attachments[index]["document"])
    headers = {"Content-Disposition": f'inline; filename="{paper.pk}.pdf"'}
    return HttpResponse(paper.read(), content_type=paper.media_type, headers=headers)


app_name = "mailbox"
urlpatterns = [
    path("", inbox, name="inbox"),
    path("<int:number>/", detail, name="mail"),
    path("<int:number>/html/", html, name="html"),
    path("<int:number>/attachment/<int:index>/", attachment, name="attachment"),
]
