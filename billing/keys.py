"""Keys of the HTTP API: made, found by their secret, taken away. A secret is shown once; its hash is kept."""

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import connection, transaction

from billing import prepared, typed
from billing.models import ApiKey, PortalLink
from billing.refusals import Refused

# read: every GET. usage: sending usage and reading it. portal, checkout: making those sessions. write:
# everything.
SCOPES = ("read", "write", "usage", "portal", "checkout")
SHOWN = 12
USE_NOTED_EVERY = timedelta(minutes=1)
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"


class UnknownScope(Refused):
    code = "unknown_scope"


def issue(
    *, name: str, livemode: bool, now: datetime, scopes: Collection[str] = SCOPES
) -> tuple[ApiKey, str]:
    """A new key and its secret, which nobody can read again. Raises UnknownScope."""
    for scope in scopes:
        if scope not in SCOPES:
            raise UnknownScope(f"A scope is one of {', '.join(SCOPES)}.", field="scopes")
    secret = f"tk_{'live' if livemode else 'test'}_{''.join(secrets.choice(_ALPHABET) for _ in range(40))}"
    key = ApiKey.objects.create(
        name=typed.text(name, "name", limit=100, required=True), prefix=secret[:SHOWN], digest=digest(secret),
        livemode=livemode, scopes=sorted(set(scopes)), created_at=now,
    )  # fmt: skip
    return key, secret


def digest(secret: str) -> str:
    """Secrets are long and random, so a plain hash is enough to keep."""
    return hashlib.sha256(secret.encode()).hexdigest()


COLUMNS = [field.attname for field in ApiKey._meta.concrete_fields]
FIND = f"select {', '.join(COLUMNS)} from billing_apikey where digest = %s"  # noqa: S608 - columns of the model
# Whoever remembers keys listens here for one that was taken away.
CHANNEL = "tandem_keys"
# A pooler that is not known as one swallows what one listens for.
ASKED_AGAIN = timedelta(seconds=5)
MOST_KNOWN = 1000


def find(secret: str, now: datetime) -> ApiKey | None:
    """The key with this secret, revoked or not. With every request, so it is remembered until a key is taken away."""
    known, hashed = prepared.until_told(CHANNEL), digest(secret)
    since, key = known.get(hashed, (now, None))
    if key is None or not since <= now < since + ASKED_AGAIN:
        key = _looked_up(hashed)
        if len(known) >= MOST_KNOWN:
            known.clear()
        if key is not None:
            known[hashed] = now, key
    return key


def _looked_up(hashed: str) -> ApiKey | None:
    with prepared.cursor() as cursor:
        row = cursor.execute(FIND, [hashed]).fetchone()
    return None if row is None else ApiKey.from_db(None, COLUMNS, row)


def used(key: ApiKey, now: datetime) -> None:
    """Note that it is in use, at most once a minute: a write for every request would make its row a
    bottleneck."""
    if key.last_used_at is None or now - key.last_used_at >= USE_NOTED_EVERY:
        ApiKey.objects.filter(pk=key.pk, last_used_at=key.last_used_at).update(last_used_at=now)
        key.last_used_at = now


@transaction.atomic
def revoke(*, key: ApiKey, now: datetime) -> None:
    """From now on it opens nothing, in any process, nor does any link into the portal that was made with it; who came by
    one is out. Revoking twice changes nothing."""
    ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=now)
    PortalLink.objects.filter(made_by=key.actor, used_at__isnull=True).delete()
    with connection.cursor() as cursor:
        cursor.execute(f"notify {CHANNEL}")
    key.refresh_from_db(fields=["revoked_at"])
