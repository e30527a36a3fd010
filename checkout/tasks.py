"""Jobs, one call each; every one may run late, twice, or on two workers at once."""

from django.utils import timezone

from checkout import completing, limits, sessions


def expire_sessions() -> int:
    """End the sessions whose time is over."""
    return sessions.expire_due(now=timezone.now())


def reconcile_checkouts() -> int:
    """Settle what a dead worker left while a card was being saved."""
    return completing.reconcile(now=timezone.now())


def sweep_counters() -> int:
    """Forget old rate counters."""
    return limits.sweep(now=timezone.now())
