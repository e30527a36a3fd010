"""The team: invited, given a role, removed; and who may do that."""

import pytest
from django.urls import reverse

from billing import customers

pytestmark = pytest.mark.django_db


def at(member, name):
    return reverse(f"portal:{name}", args=[member.pk])


def test_it_invites(alice, nova, run_jobs):
    alice.post("/portal/team/", {"email": "new@nova.example", "name": "New", "role": "billing"})
    member = nova.members.get(user__email="new@nova.example")
    assert member.role == "billing"
    assert member.added_by.startswith("member:mem_")


@pytest.mark.parametrize(
    ("email", "words"),
    [
        ("new@", "Enter an e-mail address"),
        ("", "Enter the e-mail address"),
        ("alice@nova.example", "already has access"),
    ],
)
def test_errors_keep_what_was_typed(alice, nova, email, words):
    answer = alice.post("/portal/team/", {"email": email, "name": "N<e>w", "role": "viewer"})
    assert answer.status_code == 422
    assert words in answer.text
    assert "N&lt;e&gt;w" in answer.text
    assert nova.members.count() == 1


def test_it_changes_a_role_and_removes(alice, nova, member_of):
    bob = member_of(nova, "bob@nova.example", "viewer")
    alice.post(at(bob, "role"), {"role": "billing"})
    bob.refresh_from_db()
    assert bob.role == "billing"
    alice.post(at(bob, "remove_member"))
    bob.refresh_from_db()
    assert bob.removed_at is not None


def test_the_last_owner_stays(alice, nova):
    mine = nova.members.get()
    for name, data in (("role", {"role": "viewer"}), ("remove_member", {})):
        assert "needs at least one owner" in alice.post(at(mine, name), data, follow=True).text
    mine.refresh_from_db()
    assert (mine.role, mine.removed_at) == ("owner", None)


def test_billing_makes_and_touches_no_owner(alice, nova, enter):
    bob = enter(nova, "billing", "bob@nova.example")
    owner = nova.members.get(user__email="alice@nova.example")
    assert bob.post("/portal/team/", {"email": "x@nova.example", "role": "owner"}).status_code == 422
    assert bob.post(at(owner, "role"), {"role": "viewer"}).status_code == 403
    assert bob.post(at(owner, "remove_member")).status_code == 403
    mine = nova.members.get(user__email="bob@nova.example")
    assert bob.post(at(mine, "role"), {"role": "owner"}).status_code == 403


def test_a_full_team_takes_nobody_more(make_customer, clock, subscribe):
    customer = make_customer(clock)
    subscribe(customer, plan="starter", quantity=None)
    add = {"customer": customer, "role": "viewer", "now": customer.now, "actor": "system"}
    for n in range(5):
        customers.add_member(email=f"p{n}@nova.example", **add)
    with pytest.raises(customers.TeamFull) as refusal:
        customers.add_member(email="six@nova.example", **add)
    assert refusal.value.code == "team_full"
    assert "room for 5 people" in str(refusal.value)


def test_the_portal_says_that_the_team_is_full(
    enter, make_customer, clock, subscribe, sales_catalogue, member_of
):
    customer = make_customer(clock)
    subscribe(customer, plan="starter", quantity=None)
    browser = enter(customer)
    for n in range(4):
        member_of(customer, f"p{n}@nova.example", "viewer")
    answer = browser.post("/portal/team/", {"email": "six@nova.example", "name": "Six", "role": "viewer"})
    assert answer.status_code == 422
    assert "room for 5 people" in answer.text


def test_seats_can_follow_the_team(alice, nova, sub, member_of):
    for n in range(3):
        member_of(nova, f"p{n}@nova.example", "viewer")
    page = alice.get("/portal/team/").text
    assert page.count("See what 4 seats cost") == 1  # and no field below is called so
    assert page.index("See what 4 seats cost") < page.index("p0@nova.example")
    where = f"/portal/plan/{sub.pk}/?plan=pro&interval=month&quantity=4"
    assert where.replace("&", "&amp;") in page
    assert "Confirm and pay" in alice.get(where).text or "To pay today" in alice.get(where).text
