"""Staff over the HTTP API: named by their e-mail addresses."""

from typing import Any

from rest_framework import serializers

from billing.api.finding import missing
from billing.models import User


class PersonOut(serializers.Serializer[Any]):
    name = serializers.CharField(source="get_full_name")
    email = serializers.EmailField()


def person(email: str, field: str) -> User:
    """An active member of staff. Raises Problem (422)."""
    found = User.objects.filter(email__iexact=email, is_staff=True, is_active=True).first()
    if found is None:
        raise missing("user", field)
    return found
