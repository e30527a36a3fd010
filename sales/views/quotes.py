"""`/quotes/<token>/`: the buyer reads a quote, asks, signs or declines. The link is the key; there is no sign-in."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from billing.moves import StaleMove
from billing.refusals import Refused
from sales import accepting, addresses, comparing
from sales.models import Quote, QuoteComment


class AcceptForm(forms.Form):
    """Who signs, and for which version."""

    name = forms.CharField(
        label="Your name", max_length=200, widget=forms.TextInput({"autocomplete": "name"})
    )
    title = forms.CharField(
        label="Job title", max_length=200, widget=forms.TextInput({"autocomplete": "organization-title"})
    )
    email = forms.EmailField(label="E-mail", widget=forms.EmailInput({"autocomplete": "email"}))
    po_number = forms.CharField(label="Purchase order number", max_length=60, required=False)
    signature = forms.CharField(
        label="Type your full name to sign", max_length=200, widget=forms.TextInput({"class": "signature"})
    )
    agreed = forms.BooleanField(
        label="I have read the quote and may accept it for my company.",
        error_messages={"required": "Tick this to accept the quote."},
    )
    version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, options: Sequence[Quote] = (), **other: Any) -> None:
        super().__init__(*args, **other)  # type: ignore[misc]
        if len(options) > 1:
            self.fields["option"] = forms.ChoiceField(
                label="Which option do you accept?",
                choices=[(each.option, _choice(each)) for each in options],
                widget=forms.RadioSelect,
                error_messages={"required": "Choose one of the options."},
            )
            self.order_fields(["option"])


def _choice(option: Quote) -> str:
    return f"{option.option_words}, {addresses.money(option.tcv, option.currency)} for the whole term"


class DeclineForm(forms.Form):
    reason = forms.CharField(label="What does not fit?", max_length=1000, widget=forms.Textarea({"rows": 3}))
    version = forms.IntegerField(widget=forms.HiddenInput)


class CommentForm(forms.Form):
    author = forms.CharField(label="Your name", max_length=200)
    text = forms.CharField(label="Question or comment", max_length=4000, widget=forms.Textarea({"rows": 3}))


def _find(token: str) -> Quote:
    try:
        return accepting.find(token)
    except accepting.UnknownLink:
        raise Http404("no such quote") from None


def _private(response: HttpResponse) -> HttpResponse:
    """The address is a secret: it goes to no other site. (With no referrer at all a form here would have no origin.)"""
    response["Referrer-Policy"] = "same-origin"
    response["X-Robots-Tag"] = "noindex"
    return response


@never_cache
@require_safe
def show(request: HttpRequest, token: str) -> HttpResponse:
    quote = _find(token)
    if not request.user.is_authenticated or not getattr(request.user, "is_staff", False):
        accepting.view(quote=quote, now=quote.now)
    return _page(request, quote, token)


def _page(request: HttpRequest, quote: Quote, token: str, status: int = 200, **given: Any) -> HttpResponse:
    options = quote.options() if quote.option else [quote]
    signed = next((each for each in options if each.state in accepting.ACCEPTED), None)
    shown = signed or quote
    context = {
        "quote": shown,
        "token": shown.token if signed else token,
        "closed": _closed(quote),
        "offers": comparing.offers(options),
        "offer": comparing.offers([shown])[0],
        "several": len(options) > 1,
        "accept_form": AcceptForm(initial=_known(request, quote), options=options),
        "decline_form": DeclineForm(initial={"version": quote.version}, prefix="no"),
        "comment_form": CommentForm(prefix="say", initial={"author": quote.contact_name}),
        "comments": QuoteComment.objects.filter(quote__in=options),
        **given,
    }
    return _private(render(request, "quotes/quote.html", context, status=status))


def _known(request: HttpRequest, quote: Quote) -> dict[str, Any]:
    """What the form begins with; an option is chosen by its address before it is signed."""
    return {
        "version": quote.version, "email": quote.contact_email, "name": quote.contact_name,
        "option": request.GET.get("option", ""),
    }  # fmt: skip


def _closed(quote: Quote) -> accepting.QuoteClosed | None:
    """Why it can no longer be signed; None while it can."""
    try:
        accepting.refuse_closed(quote, now=quote.now)
    except accepting.QuoteClosed as reason:
        return reason
    return None


def pressed(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A button of the page. Its address stays in the browser when something is wrong: who reloads it, or sends it to a
    colleague, is led to the quote."""

    @wraps(view)
    def inside(request: HttpRequest, token: str) -> HttpResponse:
        if request.method != "POST":
            return _private(redirect("quotes:show", token=token))
        return view(request, token)

    return require_http_methods(["GET", "HEAD", "POST"])(inside)


@pressed
def accept(request: HttpRequest, token: str) -> HttpResponse:
    quote = _find(token)
    form = AcceptForm(request.POST, options=quote.options() if quote.option else ())
    if not form.is_valid():
        return _page(request, quote, token, 422, accept_form=form)
    data = {name: value for name, value in form.cleaned_data.items() if name != "agreed"}
    try:
        accepting.accept(
            quote=quote, now=quote.now, ip=request.META.get("REMOTE_ADDR"),
            user_agent=request.headers.get("User-Agent", ""), terms_url=request.POST.get("terms_url"), **data,
        )  # fmt: skip
    except accepting.QuoteClosed as refusal:
        return _page(request, _find(token), token, 409, closed=refusal)
    except Refused as refusal:
        form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        if isinstance(refusal, accepting.TermsChanged):
            form.data = {name: value for name, value in form.data.items() if name != "agreed"}
        return _page(request, quote, token, 422, accept_form=form)
    except StaleMove:  # another quote of the same deal was signed in the same moment
        form.add_error(None, "Something changed while you signed. Please look again, and sign once more.")
        return _page(request, _find(token), token, 409, accept_form=form)
    return _private(redirect("quotes:show", token=token))


@pressed
def decline(request: HttpRequest, token: str) -> HttpResponse:
    quote = _find(token)
    form = DeclineForm(request.POST, prefix="no")
    if not form.is_valid():
        return _page(request, quote, token, 422, decline_form=form)
    try:
        accepting.decline(
            quote=quote,
            reason=form.cleaned_data["reason"],
            version=form.cleaned_data["version"],
            now=quote.now,
        )
    except accepting.QuoteClosed as refusal:
        return _page(request, _find(token), token, 409, closed=refusal)
    return _private(redirect("quotes:show", token=token))


@pressed
def comment(request: HttpRequest, token: str) -> HttpResponse:
    quote = _find(token)
    form = CommentForm(request.POST, prefix="say")
    if not form.is_valid():
        return _page(request, quote, token, 422, comment_form=form)
    try:
        accepting.comment(quote=quote, by_buyer=True, now=quote.now, **form.cleaned_data)
    except accepting.QuoteClosed as refusal:
        return _page(request, _find(token), token, 409, closed=refusal)
    except Refused as refusal:
        form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        return _page(request, quote, token, 422, comment_form=form)
    return _private(redirect("quotes:show", token=token))


@never_cache
@require_safe
def paper(request: HttpRequest, token: str) -> HttpResponse:
    """The stored PDF: the signed one once there is one."""
    quote = _find(token)
    document = quote.signed_document or quote.document
    if document is None:
        raise Http404("no paper")
    response = HttpResponse(document.read(), content_type=document.media_type)
    response["Content-Disposition"] = content_disposition_header(True, document.name) or "attachment"
    return _private(response)
