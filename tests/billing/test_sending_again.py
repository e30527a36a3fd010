"""A mail goes out again: to whom, what it says by then, when it does not, and never twice by a double press."""

from datetime import timedelta

import pytest

from billing import collecting, correcting, customers, mail, sending_again
from billing.models import Event, Mail, User
from billing.tasks import send_mail
from tests.fixtures_billing import NOON
from tests.races import at_once
from tests.staff import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def nova(make_customer, clock):
    return make_customer(clock, name="Nova", email="ada@nova.example")


@pytest.fixture
def invoice(nova, subscribe):
    return subscribe(nova, "pro", "month", 3).invoices.get()


@pytest.fixture
def support():
    return User.objects.create_user("sam@seller.example", name="Sam Support", is_staff=True)


@pytest.fixture
def write(nova, invoice):
    """A mail of some kind that went out."""

    def written(template="receipt", *, to="ada@nova.example", text="$107.01", sent=True, **more):
        return Mail.objects.create(
            template=template, recipient=to, customer=more.pop("customer", nova), subject="Hello", text=text, html="<p>",
            event=more.pop("event", f"cause-{template}"), created_at=nova.now, sent_at=nova.now if sent else None, **more,
        )  # fmt: skip

    return written


def again(source, **more):
    now = source.customer.now if source.customer else NOON
    return sending_again.send_again(
        source=source, now=more.pop("now", now), actor=more.pop("actor", "system")
    )


def pay(invoice, amount=None):
    now = invoice.customer.now
    collecting.record_transfer(
        invoice=invoice, amount=amount, reference="R", paid_at=now, now=now, actor="system"
    )  # fmt: skip
    invoice.refresh_from_db()


def test_it_goes_out_word_for_word_with_its_papers(write, invoice, support, mailoutbox):
    source = write(invoice=invoice)
    copy = again(source, actor=f"user:{support.pk}")
    assert (copy.pk != source.pk, copy.recipient, copy.subject) == (True, "ada@nova.example", "Hello")
    send_mail(copy.pk)
    [sent] = mailoutbox
    assert (sent.to, sent.body) == (["ada@nova.example"], "$107.01")
    assert [name for name, *_ in sent.attachments] == [f"{invoice.number}.pdf"]


def test_who_sent_it_again_is_a_fact(write, nova, support):
    source = write()
    again(source, actor=f"user:{support.pk}")
    event = Event.objects.get(type="mail.sent_again")
    assert (event.object_id, event.customer_id, event.actor) == (source.pk, nova.pk, f"user:{support.pk}")
    assert event.data == {"template": "receipt", "mail": source.pk}


def test_a_second_press_sends_nothing(write, nova, support):
    source = write()
    copy = again(source, actor=f"user:{support.pk}")
    Mail.objects.filter(pk=copy.pk).update(sent_at=nova.now)
    copy.refresh_from_db()
    for pressed in (source, copy):
        with pytest.raises(sending_again.JustSent, match="by Sam Support"):
            again(pressed)
    assert Mail.objects.filter(template="receipt").count() == 2


def test_a_copy_goes_out_again_as_the_first_does(write, nova):
    source = write()
    copy = again(source)
    Mail.objects.filter(pk=copy.pk).update(sent_at=nova.now)
    copy.refresh_from_db()
    again(copy, now=nova.now + sending_again.APART)
    assert {event.object_id for event in Event.objects.filter(type="mail.sent_again")} == {source.pk}


@pytest.mark.django_db(transaction=True)
def test_of_two_presses_at_once_one_sends(write):
    source = write()
    outcomes = at_once(*[lambda: again(Mail.objects.get(pk=source.pk))] * 2)
    assert sorted(isinstance(each, sending_again.JustSent) for each in outcomes) == [False, True]
    assert Mail.objects.filter(template="receipt").count() == 2


# -- To whom -----------------------------------------------------------------------------------------------


def test_it_goes_to_the_address_that_the_customer_has_now(write, nova):
    source = write()
    customers.update(customer=nova, email="pay@nova.example", now=nova.now, actor="system")
    source.customer.refresh_from_db()
    assert again(source).recipient == "pay@nova.example"


def test_it_goes_to_the_same_person_while_they_are_on_the_team(write, nova):
    customers.add_member(customer=nova, email="bob@nova.example", now=nova.now, actor="system")
    assert again(write(to="bob@nova.example")).recipient == "bob@nova.example"


def test_nobody_is_sent_what_was_for_a_deleted_customer(write, nova):
    source = write()
    nova.deleted_at = NOON
    source.customer = nova
    with pytest.raises(sending_again.NotSentAgain):
        again(source)


@pytest.mark.parametrize("template", ["trial_ending", "sign_off", "handoff_task", "automation"])
def test_what_is_about_one_moment_or_for_colleagues_is_not_sent_again(write, template):
    with pytest.raises(sending_again.NotSentAgain, match="once"):
        again(write(template))


def test_what_is_still_on_its_way_is_not_sent_again(write):
    with pytest.raises(sending_again.NotSentAgain, match="on its way"):
        again(write(sent=False))


def test_what_the_server_would_not_take_can_be_sent_again(write):
    assert again(write(sent=False, attempts=mail.MOST_ATTEMPTS))


def test_what_was_forgotten_is_not_sent_again(write):
    with pytest.raises(sending_again.NotSentAgain):
        again(write(text=""))


# -- What it says by then ----------------------------------------------------------------------------------


def test_an_invoice_asks_for_what_is_due_now(write, invoice):
    source = write("invoice", invoice=invoice)
    pay(invoice, 50_00)
    source.invoice.refresh_from_db()
    assert "To pay: $57.01" in again(source).text


def test_an_invoice_that_is_paid_says_so(write, invoice):
    pay(invoice)
    copy = again(write("invoice", invoice=invoice))
    assert "Nothing is to be paid any more." in copy.text
    assert "To pay" not in copy.text
    assert "IBAN" not in copy.text
    assert f"/invoices/{invoice.pk}." in copy.text


def test_an_invoice_whose_link_has_closed_leads_into_the_portal(invoice):
    pay(invoice)
    late = invoice.customer.now + timedelta(days=200)
    assert (
        f"/portal/invoices/{invoice.pk}/"
        in sending_again.mail_invoice(invoice=invoice, now=late, actor="system").text
    )


def test_a_void_invoice_is_not_mailed(write, invoice):
    correcting.void(invoice=invoice, reason="Wrong", now=invoice.customer.now, actor="system")
    invoice.refresh_from_db()
    with pytest.raises(sending_again.Overtaken, match="void"):
        again(write("invoice", invoice=invoice))


@pytest.mark.parametrize(
    ("template", "event"), [("invoice_reminder", "reminder-1"), ("payment_failed", "try-1")]
)
def test_what_asks_for_money_goes_out_while_that_is_due(write, invoice, template, event):
    assert (
        again(write(template, event=f"{event}-{invoice.pk}", text="Please pay $107.01.")).text
        == "Please pay $107.01."
    )


@pytest.mark.parametrize("template", ["invoice_reminder", "payment_failed"])
def test_what_asks_for_money_that_came_is_not_sent_again(write, invoice, template):
    pay(invoice)
    with pytest.raises(sending_again.Overtaken, match="settled"):
        again(write(template, event=f"try-1-{invoice.pk}"))


def test_what_asks_for_another_sum_than_is_due_is_not_sent_again(write, invoice):
    with pytest.raises(sending_again.Overtaken, match=r"\$107\.01"):
        again(write("payment_failed", event=f"try-1-{invoice.pk}", text="Please pay $200.00."))


def test_of_several_about_one_invoice_the_latest_goes_out(write, invoice):
    first = write("payment_failed", event=f"try-1-{invoice.pk}")
    later = write("payment_failed", event=f"try-2-{invoice.pk}")
    Mail.objects.filter(pk=later.pk).update(created_at=first.created_at + timedelta(days=3))
    later.refresh_from_db()
    with pytest.raises(sending_again.Overtaken, match="later one"):
        again(first)
    assert again(later)


def test_an_invitation_goes_to_the_address_that_the_member_has_now(nova):
    customers.add_member(customer=nova, email="own@nova.example", role="owner", now=nova.now, actor="system")
    member = customers.add_member(customer=nova, email="bob@nova.example", now=nova.now, actor="system")
    source = Mail.objects.get(template="team_invitation")
    Mail.objects.filter(pk=source.pk).update(sent_at=nova.now)
    source.refresh_from_db()
    User.objects.filter(pk=member.user_id).update(email="robert@nova.example")
    copy = again(source)
    assert copy.recipient == "robert@nova.example"
    assert "You have access to Nova" in copy.text


def test_whoever_left_the_team_is_not_invited_again(nova):
    customers.add_member(customer=nova, email="own@nova.example", role="owner", now=nova.now, actor="system")
    member = customers.add_member(customer=nova, email="bob@nova.example", now=nova.now, actor="system")
    customers.remove_member(member=member, now=nova.now, actor="system")
    Mail.objects.filter(template="team_invitation").update(sent_at=nova.now)
    with pytest.raises(sending_again.NoAccess):
        again(Mail.objects.get(template="team_invitation"))


# -- By staff ----------------------------------------------------------------------------------------------


def test_support_sends_it_from_its_page(write):
    source = write()
    browser = signed_in("view_mail", "send_mail")
    page = browser.get(f"/admin/billing/mail/{source.pk}/change/")
    assert "To the same address," in page.text
    done = browser.post(f"/admin/billing/mail/{source.pk}/change/", {"action": "again"}, follow=True)
    assert "It goes out to ada@nova.example once more." in done.text
    assert "Wait a few minutes" in done.text
    assert 'value="again"' not in done.text


def test_the_page_says_where_it_goes_when_that_has_changed(write, nova):
    source = write()
    customers.update(customer=nova, email="pay@nova.example", now=nova.now, actor="system")
    page = signed_in("view_mail", "send_mail").get(f"/admin/billing/mail/{source.pk}/change/").text
    assert "is no longer the address. It goes to <bdi>pay@nova.example</bdi>" in page


def test_whoever_may_only_look_sends_nothing(write, invoice):
    browser = signed_in("view_mail", "view_invoice")
    for where, act in ((f"mail/{write().pk}", "again"), (f"invoice/{invoice.pk}", "mail")):
        assert f'value="{act}"' not in browser.get(f"/admin/billing/{where}/change/").text
        assert browser.post(f"/admin/billing/{where}/change/", {"action": act}).status_code == 403


def test_staff_mail_an_invoice_from_its_page(invoice):
    pay(invoice)
    browser = signed_in("view_invoice", "send_mail")
    where = f"/admin/billing/invoice/{invoice.pk}/change/"
    assert "It says that nothing is to be paid any more." in browser.get(where).text
    assert (
        f"{invoice} goes out to ada@nova.example."
        in browser.post(where, {"action": "mail"}, follow=True).text
    )
    assert "a moment ago" in browser.post(where, {"action": "mail"}).text
    assert Mail.objects.filter(template="invoice").count() == 1
