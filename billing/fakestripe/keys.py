"""The stand-in runs beside test keys only."""

import os
import re
from collections.abc import Iterable

LIVE = re.compile(r"^(sk|pk|rk)_live_")
TEST = re.compile(r"^(sk|pk|rk)_test_[A-Za-z0-9]{24,}$")


class LiveKeyRefused(RuntimeError):
    """A live Stripe key is configured where the stand-in was asked to run."""


def refuse_live_keys(keys: Iterable[str] = ()) -> None:
    """Raise `LiveKeyRefused` if any of `keys`, or any environment variable, holds a live Stripe key.

    The message names the kind of key and the variable, never the key.
    """
    for key in keys:
        refuse_live_key(key)
    for name, value in os.environ.items():
        if LIVE.match(value):
            raise LiveKeyRefused(_message(f"the environment variable {name} holds a {value[:8]}… key"))


def refuse_live_key(key: str) -> None:
    if LIVE.match(key or ""):
        raise LiveKeyRefused(_message(f"a {key[:8]}… key is configured"))


def _message(found: str) -> str:
    return f"The Stripe stand-in refuses to run beside a live key: {found}. Unset it, or set STRIPE_FAKE=0."


def is_test_key(key: str) -> bool:
    """Whether `key` has the form of a test key: 24 or more letters and digits after `sk_test_`."""
    return bool(TEST.match(key))
