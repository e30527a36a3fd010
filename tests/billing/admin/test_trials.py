"""A running trial on the subscription's page: moved, ended at once, and by whoever may."""

import re
from datetime import timedelta

import pytest

from billing import cards
from billing.models import Event, Invoice
from tests.billing.admin.test_looking import at, statements
from tests.staff import signed_in

pytestmark = pytest.mark.django_db
# The session, and who it is.
SIGNED_IN = 2
MAY = ("view_subscription", "change_customer")


@pytest.fixture
def trial(make_customer, subscribe, clock):
    customer = make_customer(clock, name="Nova Robotics", tax_exempt=True)
    cards.save(customer=customer, payment_method="pm_card_visa", now=clock.now, actor="system")
    return subscribe(customer, "pro", "month", 3, trial_days=14)


def press(browser, row, action, **typed):
    return browser.post(at(row), {"action": action, **typed})


def test_its_days_are_free_not_billed(trial):
    browser = signed_in("view_subscription", "view_customer")
    told = browser.get(at(trial)).text
    assert re.search(r"Free until</\w+>\s*<[^>]*>29 Jan 2026", told)
    assert "Billed from" not in told


def test_it_is_given_two_more_weeks(trial, fake_stripe, books):
    later = trial.trial_end_at + timedelta(days=14)
    answer = press(signed_in(*MAY), trial, "trial", trial_end=f"{later:%Y-%m-%d}")
    assert answer.status_code == 302
    trial.refresh_from_db()
    assert (trial.status, trial.trial_end_at.date()) == ("trialing", later.date())
    assert Event.objects.get(type="subscription.changed").actor.startswith("user:")


def test_it_ends_at_once_for_what_the_page_says(trial, fake_stripe, books):
    browser = signed_in(*MAY)
    assert "$87.00 is asked for at once." in browser.get(at(trial)).text
    assert press(browser, trial, "trial_now").status_code == 302
    trial.refresh_from_db()
    assert trial.status == "active"
    assert Invoice.objects.get(subscription=trial).total == 87_00
    page = browser.get(at(trial)).text
    assert "The trial is over; $87.00 is asked for." in page
    assert "End it now" not in page


def test_what_ending_it_costs_takes_no_more_statements_than_a_page_has(trial, fake_stripe, advance, clock):
    browser = signed_in(*MAY)
    few = statements(browser, trial)
    for days in range(1, 4):
        press(browser, trial, "trial", trial_end=f"{trial.trial_end_at + timedelta(days=days):%Y-%m-%d}")
    assert "is asked for at once." in browser.get(at(trial)).text
    assert statements(browser, trial) == few
    assert few <= 6 + SIGNED_IN


@pytest.mark.parametrize(
    ("typed", "words"),
    [("2026-01-10", "on a day after today"), ("2029-06-01", "730"), ("soon", "valid date"), ("", "required")],
)
def test_it_says_at_the_field_why_a_day_cannot_be_and_keeps_it(trial, fake_stripe, typed, words):
    answer = press(signed_in(*MAY), trial, "trial", trial_end=typed)
    page = " ".join(answer.text.split())
    assert answer.status_code == 422
    assert words in page.partition('id="id_trial_end_error"')[2][:300]
    assert f'value="{typed}"' in page or not typed
    trial.refresh_from_db()
    assert not Event.objects.filter(type="subscription.changed").exists()


def test_who_may_only_look_moves_nothing(trial, fake_stripe):
    looker = signed_in("view_subscription")
    assert "Move the end" not in looker.get(at(trial)).text
    assert press(looker, trial, "trial_now").status_code == 403
    trial.refresh_from_db()
    assert trial.status == "trialing"
