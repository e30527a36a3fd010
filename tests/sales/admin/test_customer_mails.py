"""Support helps whoever has not got a mail: from the customer's timeline, and from the list of people."""

import pytest

from billing import customers
from billing.models import Event, Mail
from sales import catalogue as shipped

pytestmark = pytest.mark.django_db


@pytest.fixture
def nova(make_customer, clock):
    return make_customer(clock, name="Nova", email="ada@nova.example")


@pytest.fixture
def member(nova):
    return customers.add_member(
        customer=nova, email="ada@nova.example", name="Ada", role="owner", now=nova.now, actor="system"
    )


@pytest.fixture
def support(client, staff):
    client.force_login(staff("sam", shipped.SUPPORT))
    return client


def letter(nova, template):
    return Mail.objects.create(
        template=template, recipient="ada@nova.example", customer=nova, subject="Hello", text="Hi", html="<p>",
        event=f"cause-{template}", created_at=nova.now, sent_at=nova.now,
    )  # fmt: skip


def test_the_timeline_leads_to_sending_a_mail_again(support, nova, address):
    sent, not_again = letter(nova, "receipt"), letter(nova, "trial_ending")
    page = support.get(address(nova)).text
    assert f'<a href="{address(sent)}#again">Send again</a>' in page
    assert f"{address(not_again)}#again" not in page


def test_the_timeline_offers_it_to_nobody_who_may_only_look(client, staff, nova, address):
    letter(nova, "receipt")
    client.force_login(staff("una", shipped.READ_ONLY))
    page = client.get(address(nova)).text
    assert "Hello · ada@nova.example" in page
    assert "Send again" not in page


def test_somebody_who_cannot_get_in_is_mailed_the_way(support, nova, member, address):
    done = support.post(address(nova), {"action": "invite", "member": member.pk}, follow=True)
    assert "The way into the portal goes out to ada@nova.example." in done.text
    assert Mail.objects.get().template == "team_invitation"
    assert Event.objects.get(type="mail.sent_again").object_id == member.pk
    again = support.post(address(nova), {"action": "invite", "member": member.pk})
    assert "Wait a few minutes" in again.text
    assert Mail.objects.count() == 1


@pytest.mark.parametrize("other", ["", "x", "mem_" + "0" * 32, "\x00"])
def test_nobody_else_is_mailed_a_way_in(support, nova, member, address, other):
    assert support.post(address(nova), {"action": "invite", "member": other}).status_code == 404
    assert not Mail.objects.exists()
