"""Secrets that must be read again are kept sealed: encrypted with a key made from `SECRET_KEY`.

What was sealed under an older key opens as long as that key stands in `SECRET_KEY_FALLBACKS`.
"""

import base64
import hashlib
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Unreadable(Exception):
    """Sealed under a key that is gone, or damaged."""


def seal(plain: str) -> str:
    return _box(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS).encrypt(plain.encode()).decode()


def unseal(sealed: str) -> str:
    """Raises Unreadable."""
    try:
        return _box(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS).decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise Unreadable("This was sealed under another SECRET_KEY.") from None


@cache
def _box(*keys: str) -> MultiFernet:
    """Seals with the first key, opens with any."""
    return MultiFernet([Fernet(_key(key)) for key in keys])


def _key(secret: str) -> bytes:
    """`SECRET_KEY` is long and random, so one keyed hash is enough; its words keep the use apart from others."""
    return base64.urlsafe_b64encode(
        hashlib.blake2b(b"tandem sealing", key=_short(secret), digest_size=32).digest()
    )


def _short(secret: str) -> bytes:
    """blake2b takes keys of up to 64 bytes."""
    return hashlib.sha512(secret.encode()).digest()
