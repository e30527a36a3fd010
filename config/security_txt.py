"""`/.well-known/security.txt` (RFC 9116): whom to tell of a weakness of this installation."""

from datetime import timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from billing.models import Seller

HOLDS_FOR = timedelta(days=180)


@require_safe
def security_txt(request: HttpRequest) -> HttpResponse:
    """The seller's own address: who runs it can mend it, and tells the project."""
    email = Seller.objects.values_list("email", flat=True).first()
    if not email:
        raise Http404
    lines = [
        f"Contact: mailto:{email}",
        f"Expires: {timezone.now() + HOLDS_FOR:%Y-%m-%dT00:00:00Z}",
        "Preferred-Languages: en",
        f"Canonical: {settings.SITE_URL}{request.path}",
    ]
    return HttpResponse("\n".join([*lines, ""]), content_type="text/plain; charset=utf-8")
