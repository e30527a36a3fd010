"""What every page may show without asking."""

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from billing.models import Seller


def site(request: HttpRequest) -> dict[str, object]:
    """The seller is read only when a template names it."""
    return {
        "DEMO": settings.DEMO,
        "STRIPE_FAKE": settings.STRIPE_FAKE,
        "seller": SimpleLazyObject(current_seller),
    }


def current_seller() -> Seller:
    return Seller.objects.defer("logo").first() or Seller(name="Tandem")
