"""The seller's logo, from the database to the browser."""

from hashlib import sha256

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.views.decorators.http import require_safe

from billing.models import Seller

# What a logo may be, by its first bytes. No SVG: it can carry scripts.
KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


@require_safe
def logo(request: HttpRequest) -> HttpResponse:
    """Pages and mails name it with the start of its hash, so that a new one is seen at once."""
    stored = Seller.objects.values_list("logo", flat=True).first()
    content = bytes(stored or b"")
    kind = kind_of(content)
    if kind is None:
        raise Http404
    tag = f'"{sha256(content).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == tag:
        return HttpResponseNotModified()
    return HttpResponse(
        content, content_type=kind, headers={"ETag": tag, "Cache-Control": "public, max-age=86400"}
    )


def kind_of(content: bytes) -> str | None:
    return next((kind for start, kind in KINDS.items() if content.startswith(start)), None)
