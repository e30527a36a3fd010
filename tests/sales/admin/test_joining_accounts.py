"""Two accounts of one company are made one on the customer's page."""

import pytest

from billing.models import Customer

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair(on_pro):
    return [on_pro(2, email=f"{name}@nova.example", name=name.title()).customer for name in ("nova", "lab")]


def test_a_manager_joins_them_after_reading_what_it_does(boss, address, pair):
    nova, lab = pair
    page = boss.get(address(nova)).text
    assert "Make Lab a part of Nova" in page
    assert "This cannot be undone." in page
    answer = boss.post(address(nova), {"action": "consolidate", "account": lab.pk}, follow=True)
    assert "Lab is now a part of Nova." in answer.text
    assert "Another account joined" in answer.text
    numbers = [row.number for customer in pair for row in customer.invoices.all()]
    assert len(numbers) == 2
    assert all(number in answer.text for number in numbers)
    assert "Make Lab" not in answer.text
    theirs = boss.get(address(lab)).text
    assert "A part of another account" in theirs
    assert address(nova) in theirs


def test_a_rep_reads_the_preview_and_joins_nothing(browser, address, pair):
    nova, lab = pair
    page = browser.get(address(nova)).text
    assert "As one account" in page
    assert "Join them for good" not in page
    assert browser.post(address(nova), {"action": "consolidate", "account": lab.pk}).status_code == 403
    assert not Customer.objects.filter(merged_into__isnull=False).exists()


@pytest.mark.parametrize("account", ["", "x", "cus_00000000000000000000000000000000"])
def test_it_answers_plainly_for_what_is_not_there(boss, address, pair, account):
    answer = boss.post(address(pair[0]), {"action": "consolidate", "account": account})
    assert answer.status_code == 422
    assert "no longer there" in answer.text


def test_joining_twice_changes_nothing_and_says_so(boss, address, pair):
    nova, lab = pair
    boss.post(address(nova), {"action": "consolidate", "account": lab.pk})
    answer = boss.post(address(nova), {"action": "consolidate", "account": lab.pk})
    assert answer.status_code == 422
    assert "is a part of another account already" in answer.text


def test_it_says_what_stands_against_it(boss, address, pair, make_customer):
    make_customer(email="eu@nova.example", currency="EUR", name="Europe")
    page = boss.get(address(pair[0])).text
    assert "Europe pays in EUR, Nova in USD." in page
    assert "Make Europe a part" not in page
