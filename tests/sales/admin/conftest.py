"""Staff at their desks: browsers signed in by group."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from billing.models import User
from sales import catalogue as shipped


@pytest.fixture
def browser(rita: User) -> Client:
    """Rita's, a sales rep."""
    client = Client()
    client.force_login(rita)
    return client


@pytest.fixture
def boss(staff: Callable[..., User]) -> Client:
    """A sales manager's."""
    client = Client()
    client.force_login(staff("mara", shipped.MANAGERS))
    return client


@pytest.fixture
def address() -> Callable[[Any], str]:
    """address(row) -> its page in the admin."""
    return lambda row: f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/change/"


@pytest.fixture
def typed() -> Callable[[Any], dict[str, str]]:
    """typed(page) -> what the quote builder's form holds, as a browser would send it."""

    def values(page: Any) -> dict[str, str]:
        form = page.context["form"]
        found = {field.html_name: field.value() for field in form}
        return {name: str(value) for name, value in found.items() if value not in (None, "", False)}

    return values
