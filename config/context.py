"""What every page may show without asking."""

from django.conf import settings
from django.db.models.functions import Length
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
    """The seller with `logo_size` in bytes instead of the logo itself, or an unsaved one before set-up."""
    return Seller.objects.defer("logo").annotate(logo_size=Length("logo")).first() or Seller(name="Tandem")
