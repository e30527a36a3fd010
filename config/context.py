"""What every page may show without asking."""

from django.conf import settings
from django.http import HttpRequest


def site(request: HttpRequest) -> dict[str, object]:
    return {"DEMO": settings.DEMO, "STRIPE_FAKE": settings.STRIPE_FAKE}
