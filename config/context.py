"""What every page may show without asking."""

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from billing.admin import stepping_up
from billing.models import Seller


def site(request: HttpRequest) -> dict[str, object]:
    """The seller is read only when a template names it."""
    return {
        "DEMO": settings.DEMO,
        "STRIPE_FAKE": settings.STRIPE_FAKE,
        "staff_needs_factor": SimpleLazyObject(lambda: stepping_up.lacks_factor(request)),
        "seller": SimpleLazyObject(current_seller),
        "demo_sign_ins": SimpleLazyObject(demo_sign_ins),
    }


def demo_sign_ins() -> list[tuple[str, str, str, str]]:
    """(who, the address where they work, e-mail, how they sign in) of the demo's people; nobody anywhere else."""
    if not settings.DEMO:
        return []
    from config import demo  # it imports all that the sample is made with

    return [row for row in demo.sign_ins(demo.sample()) if row[2]]


def current_seller() -> Seller:
    """The seller, or an unsaved one before set-up."""
    return Seller.objects.first() or Seller(name="Tandem")
