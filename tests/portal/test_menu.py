"""The portal's menu."""

import pytest
from django.template import Context
from django.test import RequestFactory

from portal.templatetags.portal_nav import portal_menu


def current(path="/portal/", **context):
    items = portal_menu(Context({"request": RequestFactory().get(path), **context}))
    return [item.key for item in items if item.current]


@pytest.mark.parametrize(
    ("path", "key"),
    [("/portal/", "overview"), ("/portal/invoices/", "invoices"), ("/portal/invoices/inv_1/", "invoices")],
)
def test_it_knows_the_place_from_the_address(path, key):
    assert current(path) == [key]


def test_a_page_may_say_its_place_itself():
    assert current("/portal/elsewhere/", section="team") == ["team"]


def test_it_counts_waiting_quotes():
    items = portal_menu(Context({"request": RequestFactory().get("/portal/"), "quotes_waiting": 2}))
    assert {item.key: item.count for item in items if item.count} == {"quotes": 2}


def test_five_places_fit_in_the_phones_bar():
    assert sum(item.primary for item in portal_menu(Context())) == 4
