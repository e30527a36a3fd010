"""Who sits at the desk: staff have a second factor, and before money goes out, a key is made or bank details change,
whoever is signed in says again who they are.

A screen left open is somebody else's chance. The press that was stopped is carried out once they have said it, with what
was typed; allauth keeps it meanwhile.
"""

import time

from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from allauth.core.exceptions import ReauthenticationRequired
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.http import HttpRequest

# Seconds for which a sign-in, or the last time that it was said, is believed.
BELIEVED = 600


def ask(request: HttpRequest) -> None:
    """Raises ReauthenticationRequired, which the middleware answers with the question."""
    if asks(request):
        raise ReauthenticationRequired


def asks(request: HttpRequest) -> bool:
    """Would `ask` ask now?"""
    return not recently(request) and bool(get_reauthentication_flows(request.user))  # type: ignore[arg-type]


def lacks_factor(request: HttpRequest) -> bool:
    """Is somebody signed in who has to set up a second factor first? Asks the database only where none was used."""
    if not (settings.STAFF_SECOND_FACTOR and request.user.is_staff):
        return False
    if any(record["method"] == "mfa" for record in get_authentication_records(request, request.user)):  # type: ignore[arg-type]
        return False
    kinds = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
    return not Authenticator.objects.filter(user=request.user, type__in=kinds).exists()  # type: ignore[misc]


def recently(request: HttpRequest) -> bool:
    records = get_authentication_records(request, request.user)  # type: ignore[arg-type]
    return any(time.time() - record["at"] < BELIEVED for record in records)
