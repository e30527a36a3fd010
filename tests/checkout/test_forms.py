"""The checkout's form: what forms have in common, and what is each one's own."""

from copy import deepcopy

import pytest

from billing import typed
from billing.models import Plan
from checkout.forms import CheckoutForm


def form_of(country, *, quantity="1", most=10, cards=()):
    return CheckoutForm(
        {"country": country, "quantity": quantity, "email": "nobody", "timezone": "Mars"},
        plan=Plan(), intervals=[("month", "Monthly")], cards=cards, seats=True, most=most,
    )  # fmt: skip


def looks(fields):
    return {
        name: {**vars(field), "widget": (type(field.widget), field.widget.attrs)}
        for name, field in deepcopy(dict(fields)).items()
    }


@pytest.mark.parametrize("country", ["", "US", "AE", "JP", "GB"])
def test_it_changes_nothing_that_another_form_has_too(country):
    before = looks(CheckoutForm.base_fields)
    form = form_of(country, cards=[("card_1", "Visa")])
    assert not form.is_valid()
    assert str(form)
    assert looks(CheckoutForm.base_fields) == before


def test_it_asks_each_buyer_in_the_words_of_their_country_whoever_asks_meanwhile():
    american, japanese = form_of("US", quantity="11"), form_of("JP", quantity="11", most=20)
    assert (american["state"].label, japanese["state"].label) == ("State", "Prefecture")
    assert ("quantity" in american.errors, "quantity" in japanese.errors) == (True, False)


def test_it_knows_every_country_in_a_form_that_others_share():
    assert [code for code in typed.countries() if "country" in form_of(code).errors] == []
