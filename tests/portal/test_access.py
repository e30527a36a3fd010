"""Who may see what: a stranger, a member of two customers, staff, a bearer of a link, somebody else's ids."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing import customers, joining, portal_links
from billing.models import User
from portal.urls import urlpatterns

pytestmark = pytest.mark.django_db
OPEN = (
    "overview",
    "usage",
    "invoices",
    "team",
    "plan",
    "features",
    "payment",
    "card",
    "details",
    "quotes",
    "help",
)
WRITES = [
    ("team", {}), ("features", {"feature": "sso"}), ("card", {}), ("method", {"method": "send_invoice"}),
    ("details", {}), ("help", {"about": "help"}),
]  # fmt: skip


@pytest.mark.parametrize("name", OPEN)
def test_it_sends_strangers_to_the_sign_in(client, catalogue, name):
    answer = client.get(reverse(f"portal:{name}"))
    assert answer.status_code == 302
    assert answer.url.startswith("/accounts/login/")


@pytest.mark.parametrize("name", OPEN)
def test_it_opens_for_a_member(alice, name):
    answer = alice.get(reverse(f"portal:{name}"))
    assert answer.status_code == 200
    assert "Nova Robotics" in answer.text
    assert "no-store" in answer["Cache-Control"]


def test_it_is_closed_for_staff_who_are_no_members(nova):
    browser = Client()
    browser.force_login(User.objects.create_user("sam@tandem.example", "x" * 12, is_staff=True))
    answer = browser.get("/portal/")
    assert answer.status_code == 403
    assert "Nova" not in answer.text


def test_it_closes_when_the_member_is_removed(alice, nova, member_of):
    member_of(nova, "another@nova.example")
    customers.remove_member(
        member=nova.members.order_by("added_at", "pk").first(), now=nova.now, actor="system"
    )
    assert alice.get("/portal/").status_code == 403


def test_a_member_of_two_customers_picks_one(alice, nova, make_customer, member_of):
    other = make_customer(name="Other Works")
    member_of(other, "alice@nova.example")
    assert alice.get("/portal/").url == "/portal/choose/"
    page = alice.get("/portal/choose/")
    assert "Nova Robotics" in page.text
    assert "Other Works" in page.text
    chosen = other.members.get()
    assert alice.post("/portal/choose/", {"customer": chosen.customer_id}).url == "/portal/"
    assert "Other Works" in alice.get("/portal/").text


def test_nobody_picks_a_customer_of_others(alice, make_customer, member_of):
    stranger = member_of(make_customer(), "charlie@far.example")
    assert alice.post("/portal/choose/", {"customer": stranger.customer_id}).status_code == 404


# -- Somebody else's ids ---------------------------------------------------------------------------------


@pytest.fixture
def theirs(make_customer, make_clock, subscribe, member_of, fake_stripe):
    """Ids of everything that another customer has."""
    from billing import cards, subscribing
    from billing.models import CreditNote

    other = make_customer(make_clock(), name="Far Away Ltd")
    subscription = subscribe(other)
    card = cards.save(customer=other, payment_method="pm_card_visa", now=other.now, actor="system")
    subscribing.change(
        subscription=subscription,
        now=other.now + timedelta(days=3),
        actor="system",
        quantity=1,
        effective="now",
    )
    member = member_of(other, "charlie@far.example")
    note = CreditNote.objects.filter(customer=other).first()
    return {
        "invoice": other.invoices.first().pk, "credit-note": note.pk, "member": member.pk,
        "plan": subscription.pk,
        "card": card.pk,
    }  # fmt: skip


def kind_of(route):
    first = route.split("/")[0]
    if first == "payment":
        return "card"
    return {"invoices": "invoice", "credit-notes": "credit-note", "team": "member", "plan": "plan"}[first]


WITH_ID = [pattern for pattern in urlpatterns if "<str:pk>" in str(pattern.pattern)]


@pytest.mark.parametrize("pattern", WITH_ID, ids=lambda p: p.name)
def test_what_belongs_to_others_does_not_exist(alice, theirs, pattern):
    address = reverse(f"portal:{pattern.name}", args=[theirs[kind_of(str(pattern.pattern))]])
    answers = {alice.get(address).status_code, alice.post(address).status_code}
    assert 404 in answers
    assert answers <= {404, 405}


@pytest.mark.parametrize("pattern", WITH_ID, ids=lambda p: p.name)
def test_what_is_no_id_does_not_exist(alice, pattern):
    address = reverse(f"portal:{pattern.name}", args=["inv_nonsense"])
    assert {alice.get(address).status_code, alice.post(address).status_code} <= {404, 405}


def test_the_address_of_a_button_says_that_it_does_nothing(alice, client, sub):
    address = reverse("portal:cancel", args=[sub.pk])
    answer = alice.get(address)
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert "Nothing was changed" in answer.text
    assert client.get(address).url.startswith("/accounts/login/")
    assert sub.phases.count() == 1


def test_every_address_with_an_id_is_walked():
    assert len(WITH_ID) == 16


# -- Viewers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "data"), WRITES)
def test_viewers_write_nothing(vera, name, data):
    assert vera.post(reverse(f"portal:{name}"), data).status_code == 403


@pytest.mark.parametrize("name", ["change", "confirm", "cancel", "keep", "unplan", "pause", "resume"])
def test_viewers_change_no_plan(vera, sub, name):
    assert vera.post(reverse(f"portal:{name}", args=[sub.pk])).status_code == 403


def test_viewers_pay_nothing(vera, nova):
    assert vera.post(reverse("portal:pay", args=[nova.invoices.get().pk])).status_code == 403


@pytest.mark.parametrize("name", OPEN)
def test_viewers_see_every_page_and_no_way_to_write(vera, name):
    page = vera.get(reverse(f"portal:{name}"))
    assert page.status_code == 200
    assert page.text.count('method="post"') == page.text.count('action="/accounts/logout/"') + (
        name == "details"
    )


def test_posts_need_the_token(nova, member_of):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(member_of(nova, "alice@nova.example").user)
    assert browser.post("/portal/help/", {"about": "help"}).status_code == 403
    assert not nova.handoff_tasks.exists()


# -- Links -----------------------------------------------------------------------------------------------


def link_to(customer, **more):
    _, url = portal_links.issue(customer, now=timezone.now(), actor="key:tk_test", **more)
    return "/portal/enter/" + url.rpartition("/enter/")[2]


def test_a_link_is_not_spent_by_looking(client, nova):
    address = link_to(nova)
    for _ in range(3):
        assert "Nova Robotics" in client.get(address).text
    assert client.get("/portal/").status_code == 302
    assert client.post(address).url == "/portal/"
    page = client.get("/portal/")
    assert page.status_code == 200
    assert "Nova Robotics" in page.text


def test_a_link_works_once(client, nova):
    address = link_to(nova)
    client.post(address)
    again = Client().post(address)
    assert again.status_code == 410
    assert Client().get(address).status_code == 410


def test_a_link_opens_no_other_customer(client, nova, theirs):
    client.post(link_to(nova))
    assert client.get(reverse("portal:invoice", args=[theirs["invoice"]])).status_code == 404


def test_a_link_may_open_some_parts_only(client, nova):
    assert client.post(link_to(nova, sections=["invoices"])).url == "/portal/invoices/"
    assert client.get("/portal/invoices/").status_code == 200
    assert client.get("/portal/team/").status_code == 404
    assert "/portal/team/" not in client.get("/portal/invoices/").text


def test_a_links_visit_ends(client, nova, settings):
    settings.CHECKOUT_REDIRECT_HOSTS = ["app.example"]
    client.post(link_to(nova, return_url="https://app.example/billing"))
    session = client.session
    session["portal"] = {**session["portal"], "until": (timezone.now() - timedelta(seconds=1)).isoformat()}
    session.save()
    answer = client.get("/portal/")
    assert answer.status_code == 403
    assert "https://app.example/billing" in answer.text
    assert client.get("/portal/").status_code == 302


def test_who_came_by_a_link_acts_as_the_key_that_made_it(client, nova, run_jobs):
    client.post(link_to(nova))
    client.post("/portal/team/", {"email": "new@nova.example", "role": "viewer"})
    assert nova.members.get().added_by == "key:tk_test"


def test_leaving_ends_a_links_visit(client, nova, settings):
    settings.CHECKOUT_REDIRECT_HOSTS = ["app.example"]
    client.post(link_to(nova, return_url="https://app.example/billing"))
    assert client.post("/portal/leave/").url == "https://app.example/billing"
    assert client.get("/portal/").status_code == 302


# -- An account that became a part of another ------------------------------------------------------------


@pytest.fixture
def lab(nova, make_customer, clock, subscribe, member_of):
    row = make_customer(clock, name="Nova Lab", email="lab@nova.example")
    subscribe(row)
    member_of(row, "lena@nova.example", "viewer")
    joining.join(customer=row, into=nova, now=nova.now, actor="user:1")
    return row


def test_its_people_land_in_the_account_and_may_look_after_both(lab, nova):
    browser = Client()
    browser.force_login(nova.members.get(user__email="lena@nova.example").user)
    assert "Nova Robotics" in browser.get("/portal/").text
    page = browser.get("/portal/choose/").text
    assert "Nova Lab" in page
    assert "joined 15 Jan 2026" in page
    browser.post("/portal/choose/", {"customer": lab.pk})
    assert lab.invoices.get().number in browser.get("/portal/invoices/").text
    assert browser.post(f"/portal/plan/{lab.subscriptions.get().pk}/cancel/", {}).status_code == 403
    assert browser.get("/portal/team/").status_code == 404


def test_the_accounts_own_people_may_look_after_it_with_their_role(alice, lab):
    alice.post("/portal/choose/", {"customer": lab.pk})
    assert "Nova Lab" in alice.get("/portal/").text
    alice.post("/portal/details/", {"name": "Nova Lab Ltd", "email": "lab@nova.example", "country": "IE"})
    lab.refresh_from_db()
    assert lab.name == "Nova Lab Ltd"


def test_nobody_else_gets_in_and_who_is_removed_from_the_account_is_out(
    alice, nova, lab, enter, make_customer, member_of
):
    charlie = enter(make_customer(), email="charlie@far.example")
    assert charlie.post("/portal/choose/", {"customer": lab.pk}).status_code == 404
    session = charlie.session
    session["portal"] = {"customer": lab.pk}
    session.save()
    assert "Nova Lab" not in charlie.get("/portal/").text
    alice.post("/portal/choose/", {"customer": lab.pk})
    member_of(nova, "other@nova.example")
    gone = nova.members.get(user__email="alice@nova.example")
    customers.remove_member(member=gone, now=nova.now, actor="system")
    assert alice.get("/portal/").status_code == 403
