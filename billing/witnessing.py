"""Who came in, who was turned away, what was carried out: facts for whoever has to find out later what happened.

What people do to customers and money leaves facts of its own, and what they change in forms is in the admin's log; these
are about the doors. `address` is where the request came from.
"""

from typing import Any

from allauth.account import signals as account
from allauth.mfa import signals as mfa
from django.contrib.auth.signals import user_login_failed
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from billing.events import record, staff_of
from billing.models import User

UNKNOWN = "unknown"


class Subject:
    """Somebody's account as an object of the facts; an address that nobody has is the one object `usr_unknown`."""

    def __init__(self, user: User | None) -> None:
        self.pk = f"usr_{user.pk if user else UNKNOWN}"


def note(type: str, request: HttpRequest | None, user: User | None, **said: Any) -> None:
    """Write down what happened to, or by, this user now."""
    address = request.META.get("REMOTE_ADDR", "") if request is not None else ""
    actor = staff_of(user.pk) if user else UNKNOWN
    with transaction.atomic():
        record(
            type, subject=Subject(user), actor=actor, now=timezone.now(), livemode=True,
            data={**said, "address": address},
        )  # fmt: skip


def refused(request: HttpRequest, user: User) -> None:
    """Somebody on the staff asked for what they may not."""
    note("user.refused", request, user, note=f"{request.method} {request.path}"[:300])


def exported(request: HttpRequest, user: User, what: str) -> None:
    """A file of rows left the admin."""
    note("user.exported", request, user, note=what)


def listen() -> None:
    """To all that tells of signing in."""
    account.user_logged_in.connect(_came_in, dispatch_uid="billing.witnessing")
    user_login_failed.connect(_failed, dispatch_uid="billing.witnessing")
    account.login_code_rejected.connect(wrong_code, dispatch_uid="billing.witnessing")
    mfa.authentication_failed.connect(wrong_code, dispatch_uid="billing.witnessing")
    for signal, words in (
        (mfa.authenticator_added, "Second factor added"), (mfa.authenticator_removed, "Second factor removed"),
        (mfa.authenticator_reset, "Recovery codes made anew"), (account.password_changed, "Password changed"),
        (account.password_reset, "Password set anew by mail"),
    ):  # fmt: skip
        signal.connect(_changed(words), weak=False, dispatch_uid=f"billing.witnessing.{words}")


def _came_in(request: HttpRequest, user: User, **_: Any) -> None:
    ways = [record["method"] for record in request.session.get("account_authentication_methods", [])]
    note("user.signed_in", request, user, note=", ".join(dict.fromkeys(ways)))


def _failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """A wrong password. Of an address that nobody has, nothing is kept: it may be a password in the wrong field."""
    typed = str(credentials.get("email") or credentials.get("username") or "")
    known = User.objects.filter(email__iexact=typed).first()
    note("user.sign_in_failed", request, known, note="password")


def wrong_code(request: HttpRequest | None = None, user: User | None = None, **_: Any) -> None:
    """From a mail or an app; `user`: whose it should have been, if that is anybody."""
    note("user.sign_in_failed", request, user, note="code")


def _changed(words: str) -> Any:
    def changed(request: HttpRequest | None = None, user: User | None = None, **_: Any) -> None:
        note("user.security_changed", request, user, note=words)

    return changed
