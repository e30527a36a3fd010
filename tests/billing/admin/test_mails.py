"""Staff look at every mail before a customer gets it."""

import pytest

from billing import mail, mail_samples
from billing.models import Event, Mail, Seller, User
from tests.fixtures_billing import NOON
from tests.staff import signed_in

pytestmark = pytest.mark.django_db
WAYS = [(one.name, n) for one in mail_samples.templates() for n in range(len(one.variants))]


@pytest.fixture
def browser(client, catalogue):
    client.force_login(User.objects.create_superuser("root@seller.example", "x" * 12))
    return client


def test_the_list_names_every_mail_with_its_purpose(browser):
    page = browser.get("/admin/mails/").text
    for one in mail_samples.templates():
        assert f"/admin/mails/{one.name}/0/" in page
        assert one.purpose.endswith(".")


@pytest.mark.parametrize(("name", "variant"), WAYS)
def test_every_way_of_every_mail_can_be_seen(browser, name, variant):
    page = browser.get(f"/admin/mails/{name}/{variant}/")
    assert page.status_code == 200
    assert "None" not in page.text.partition("Text part")[2]
    framed = browser.get(f"/admin/mails/{name}/{variant}/html/")
    assert "sandbox" in framed["Content-Security-Policy"]
    assert "Lumen Analytics" in framed.text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("automation", "How is it going?"),
        ("payment_exception", "Nova Robotics: another way of paying"),
        ("refund_elsewhere", "re_3Qexample"),
        ("receipt", "we received $103.53"),
    ],
)
def test_an_invented_mail_has_no_holes(browser, name, said):
    assert said in browser.get(f"/admin/mails/{name}/0/html/").text


@pytest.mark.parametrize(("name", "variant"), WAYS)
def test_no_label_of_an_invented_mail_stands_alone(catalogue, name, variant):
    lines = mail_samples.sample(name, Seller.objects.get(), NOON, variant)["text"].splitlines()
    assert [line for line in lines if line.endswith(": ")] == []


@pytest.mark.parametrize("address", ["nothing/0/", "receipt/9/", "base/0/"])
def test_what_is_no_mail_does_not_exist(browser, address):
    assert browser.get(f"/admin/mails/{address}").status_code == 404


def test_it_is_for_those_who_may_see_mail(client, catalogue):
    client.force_login(User.objects.create_user("new@seller.example", is_staff=True))
    assert client.get("/admin/mails/").status_code == 403


# -- What was sent -----------------------------------------------------------------------------------------


@pytest.fixture
def invoice(make_customer, subscribe, clock):
    return subscribe(make_customer(clock, name="Nova"), "pro", "month", 3).invoices.get()


@pytest.fixture
def sent(invoice):
    event = Event.objects.filter(object_id=invoice.pk).first()
    row = mail.written(
        template="receipt", to="ada@nova.example", context={"payment": None}, event=event, now=invoice.issued_at,
        customer=invoice.customer, invoice=invoice,
    )  # fmt: skip
    return mail.post([row])[0]


def at(row, part="change"):
    return f"/admin/billing/mail/{row.pk}/{part}/"


def test_a_mail_stands_as_its_reader_got_it(sent, invoice):
    browser = signed_in("view_mail")
    page = browser.get(at(sent))
    for words in (sent.subject, "ada@nova.example", ">Nova<", str(invoice), "Waiting", "Invoice issued"):
        assert words in page.text
    assert "It is written when it goes out" not in page.text
    framed = browser.get(at(sent, "html"))
    assert sent.html in framed.text
    assert "sandbox" in framed["Content-Security-Policy"]
    assert framed["X-Frame-Options"] == "SAMEORIGIN"


def test_one_that_is_not_written_yet_says_so(sent):
    Mail.objects.filter(pk=sent.pk).update(text="", html="")
    page = signed_in("view_mail").get(at(sent)).text
    assert "It is written when it goes out" in page
    assert "<iframe" not in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [({}, "It did not go out"), ({"text": "", "html": ""}, "It could not be written")],
)
def test_it_says_whether_a_mail_was_refused_or_never_written(sent, changes, said):
    Mail.objects.filter(pk=sent.pk).update(attempts=2, tried_at=NOON, error="KeyError: words", **changes)
    page = signed_in("view_mail").get(at(sent)).text
    both = {"It did not go out", "It could not be written"}
    assert {words for words in both if words in page} == {said}


@pytest.mark.parametrize("part", ["change", "html"])
def test_a_mail_is_for_those_who_may_see_mail(sent, part):
    assert signed_in("view_invoice").get(at(sent, part)).status_code == 403


@pytest.mark.parametrize(
    ("changes", "words", "chosen"),
    [
        ({}, "Waiting", "no"),
        ({"attempts": 2, "tried_at": NOON, "error": "SMTPError: busy"}, "Trying again", "no"),
        (
            {"attempts": mail.MOST_ATTEMPTS, "tried_at": NOON, "error": "SMTPError: no box"},
            "Given up",
            "never",
        ),
        ({"attempts": 1, "sent_at": NOON}, "Sent", "yes"),
    ],
)
def test_it_says_whether_a_mail_went_out(sent, changes, words, chosen):
    Mail.objects.filter(pk=sent.pk).update(**changes)
    browser = signed_in("view_mail")
    page = browser.get(at(sent)).text
    assert words in page
    assert changes.get("error", "") in page
    for choice in ("yes", "no", "never"):
        found = browser.get(f"/admin/billing/mail/?sent={choice}").context["cl"].result_list
        assert (sent.pk in {row.pk for row in found}) == (choice == chosen)


@pytest.mark.parametrize("event", ["", "evt_x", "checkout:7", "evt_" + "0" * 32])
def test_a_mail_without_a_known_cause_is_shown_too(sent, event):
    Mail.objects.filter(pk=sent.pk).update(event=event)
    assert signed_in("view_mail").get(at(sent)).status_code == 200
