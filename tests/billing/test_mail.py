"""Mails: written once with their cause, sent by a job, kept where there is no mail server."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail as outbox
from django.core.mail import BadHeaderError, EmailMultiAlternatives
from django.db import transaction
from django_q.models import OrmQ

from billing import jobs, mail, tasks
from billing.events import record
from billing.models import Document, KeptMail, Mail
from billing.papers.isolated import PaperFailed

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture
def letters(settings, tmp_path):
    """Three small templates in a directory of their own."""
    folder = tmp_path / "mail"
    folder.mkdir()
    (folder / "hello.subject.txt").write_text("Hello {{ name }}\n")
    (folder / "hello.txt").write_text("Dear {{ name }}, see {{ site_url }}.\n")
    (folder / "hello.html").write_text("<p>Dear {{ name }}</p>")
    templates = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    mail._text_engine.cache_clear()
    settings.TEMPLATES = templates
    yield
    mail._text_engine.cache_clear()


@pytest.fixture
def hello(letters, catalogue):
    """hello(**more) composes one."""

    def compose(**more):
        given = {
            "template": "hello",
            "to": "ada@nova.example",
            "context": {"name": "Ada"},
            "event": "evt_1",
            "now": NOW,
        }
        return mail.compose(**{**given, **more})

    return compose


def test_it_is_written_and_enqueued_at_once(hello, settings):
    written = hello()
    stored = Mail.objects.get()
    assert (stored.pk, stored.subject, stored.recipient) == (written.pk, "Hello Ada", "ada@nova.example")
    assert stored.text == f"Dear Ada, see {settings.SITE_URL}.\n"
    assert OrmQ.objects.count() == 1


def test_one_with_an_invoice_waits_for_all_other_jobs(hello, clock, make_customer, subscribe):
    invoice = subscribe(make_customer(clock)).invoices.get()
    OrmQ.objects.all().delete()
    hello()
    hello(to="bob@nova.example", invoice=invoice)
    assert [row.key == jobs.BEHIND for row in OrmQ.objects.order_by("id")] == [False, True]


def test_an_event_writes_it_once_to_each_recipient(hello):
    assert hello() is not None
    assert hello() is None
    assert hello(to="bob@nova.example") is not None
    assert hello(event="evt_2") is not None
    assert Mail.objects.count() == OrmQ.objects.count() == 3


def test_it_knows_the_event_by_its_public_id(hello, make_customer):
    customer = make_customer()
    with transaction.atomic():
        event = record("customer.updated", subject=customer, customer=customer, actor="system", now=NOW)
    hello(event=event, customer=customer)
    assert Mail.objects.get().event == event.public_id


def test_it_goes_away_with_its_cause(hello):
    with transaction.atomic():
        hello()
        transaction.set_rollback(True)
    assert not Mail.objects.exists()
    assert not OrmQ.objects.exists()


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "{{7*7}}", "{% include 'x' %}", "Ada & Co"])
def test_what_people_are_called_stays_text(hello, name):
    written = hello(context={"name": name})
    assert written.subject == f"Hello {name}"
    assert f"Dear {name}," in written.text
    assert "<script>" not in written.html
    assert "49" not in written.html


def test_a_subject_is_one_line(hello):
    assert (
        hello(context={"name": "Ada\r\nBcc: eve@evil.example"}).subject == "Hello Ada Bcc: eve@evil.example"
    )


def test_a_line_break_in_an_address_is_refused(hello):
    written = hello()
    written.recipient = "a@b.de\nBcc: eve@evil.example"
    with pytest.raises((BadHeaderError, ValueError)):
        mail.message(written).message()


# -- Sending ------------------------------------------------------------------------------------------------


def test_the_job_sends_it_once(hello, run_jobs):
    written = hello()
    run_jobs()
    tasks.send_mail(written.pk)
    assert [sent.subject for sent in outbox.outbox] == ["Hello Ada"]
    assert outbox.outbox[0].alternatives[0].content == "<p>Dear Ada</p>"
    written.refresh_from_db()
    assert (written.attempts, written.error) == (1, "")
    assert written.sent_at is not None


def test_every_try_carries_the_same_id(hello):
    written = hello()
    ids = {mail.message(written).message()["Message-ID"] for _ in range(2)}
    assert ids == {f"<{written.pk}@127.0.0.1>"}


def test_of_two_workers_one_sends(hello):
    hello()
    one, two = Mail.objects.get(), Mail.objects.get()
    assert mail.deliver(one, now=NOW)
    assert not mail.deliver(two, now=NOW)
    assert len(outbox.outbox) == 1


def test_a_failure_is_kept_and_tried_again_later(hello, settings, monkeypatch):
    written = hello()

    def refuses(self, *args, **kwargs):
        raise OSError("451 try later")

    with monkeypatch.context() as patch:
        patch.setattr(EmailMultiAlternatives, "send", refuses)
        with pytest.raises(OSError, match="451"):
            tasks.send_mail(written.pk)
    written.refresh_from_db()
    assert (written.attempts, written.error, written.sent_at) == (1, "OSError: 451 try later", None)
    assert tasks.send_waiting_mail() == 0
    Mail.objects.update(tried_at=NOW)
    assert tasks.send_waiting_mail() == 1
    assert tasks.send_waiting_mail() == 0
    written.refresh_from_db()
    assert (written.attempts, written.error) == (2, "")


def test_one_that_cannot_go_does_not_hold_up_the_others(hello, monkeypatch):
    hello()
    hello(to="bob@nova.example")
    plain = EmailMultiAlternatives.send

    def refuses_one(self, *args, **kwargs):
        if self.to == ["ada@nova.example"]:
            raise OSError("550 no such user")
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(EmailMultiAlternatives, "send", refuses_one)
    assert tasks.send_waiting_mail() == 1
    assert [sent.to for sent in outbox.outbox] == [["bob@nova.example"]]


def test_thousands_that_wait_keep_no_worker_longer_than_a_shift(hello, monkeypatch):
    hello()
    hello(to="bob@nova.example")
    monkeypatch.setattr(tasks, "SHIFT", timedelta(0))
    assert [tasks.send_waiting_mail() for _ in range(3)] == [1, 1, 0]


def test_it_is_left_alone_in_the_end(hello):
    hello()
    Mail.objects.update(attempts=mail.MOST_ATTEMPTS)
    assert tasks.send_waiting_mail() == 0


def test_what_is_planned_is_written_when_it_goes_out_and_every_try_says_the_same(
    letters, catalogue, monkeypatch
):
    names = iter(["Ada", "somebody else"])
    monkeypatch.setitem(mail.words_of, "try", lambda planned: {"name": next(names)})
    planned = mail.planned(
        template="hello", to="ada@nova.example", context={"name": "Ada"}, event="try_1", now=NOW
    )
    planned.save(force_insert=True)
    assert (planned.subject, planned.text, planned.html) == ("Hello Ada", "", "")
    with monkeypatch.context() as patch:
        patch.setattr(EmailMultiAlternatives, "send", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tasks.send_mail(planned.pk)
    tasks.send_mail(planned.pk)
    assert [sent.alternatives[0].content for sent in outbox.outbox] == ["<p>Dear Ada</p>"]
    planned.refresh_from_db()
    assert (planned.text[:10], planned.html) == ("Dear Ada, ", "<p>Dear Ada</p>")


def test_one_whose_words_cannot_be_found_waits_with_the_reason(letters, catalogue, monkeypatch):
    monkeypatch.setitem(mail.words_of, "try", lambda planned: {}["gone"])
    planned = mail.planned(
        template="hello", to="ada@nova.example", context={"name": "Ada"}, event="try_1", now=NOW
    )
    planned.save(force_insert=True)
    with pytest.raises(KeyError):
        tasks.send_mail(planned.pk)
    planned.refresh_from_db()
    assert (planned.sent_at, planned.attempts, planned.error) == (None, 1, "KeyError: 'gone'")
    assert outbox.outbox == []


# -- Kept, and shown ----------------------------------------------------------------------------------------


@pytest.fixture
def kept(hello, settings):
    settings.MAILERS = {"default": {"BACKEND": "billing.mail.KeepingBackend"}}
    paper = Document.objects.create(name="INV-1.pdf", content=b"%PDF-1", sha256="0" * 64)
    tasks.send_mail(hello(document=paper).pk)
    return KeptMail.objects.get()


def test_without_a_mail_server_it_is_kept(kept):
    assert (kept.recipient, kept.subject, kept.html) == ("ada@nova.example", "Hello Ada", "<p>Dear Ada</p>")
    assert [paper["name"] for paper in kept.attachments] == ["INV-1.pdf"]


@pytest.fixture
def demo(settings):
    settings.DEMO = True


def test_the_demo_shows_them(kept, demo, client, settings):
    from django.conf import settings as site

    settings.TEMPLATES = [{**site.TEMPLATES[0], "DIRS": [site.BASE_DIR / "templates"]}]
    assert "Hello Ada" in client.get("/mail/").content.decode()
    html = client.get(f"/mail/{kept.pk}/").content.decode()
    assert f'src="/mail/{kept.pk}/html/"' in html
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in html
    assert client.get(f"/mail/{kept.pk}/attachment/0/").content == b"%PDF-1"
    assert client.get(f"/mail/{kept.pk}/attachment/1/").status_code == 404


def test_the_html_part_can_do_nothing(kept, demo, client):
    answer = client.get(f"/mail/{kept.pk}/html/")
    policy = answer["Content-Security-Policy"]
    assert "sandbox allow-popups allow-popups-to-escape-sandbox" in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert answer["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.parametrize("address", ["", "{}/", "{}/html/", "{}/attachment/0/"])
def test_nobody_else_sees_them(kept, client, address, settings):
    settings.DEMO = settings.DEBUG = False
    assert client.get("/mail/" + address.format(kept.pk)).status_code == 404


def test_an_invoice_whose_paper_cannot_be_made_is_mailed_without_it(
    hello, clock, make_customer, subscribe, monkeypatch
):
    def never(paper):
        raise PaperFailed("it took too long")

    monkeypatch.setattr("billing.papers.isolated.render_isolated", never)
    written = hello(invoice=subscribe(make_customer(clock)).invoices.get())
    for _ in range(mail.WITHOUT_A_PAPER - 1):
        with pytest.raises(PaperFailed):
            mail.deliver(written, now=NOW)
    assert mail.deliver(written, now=NOW)
    assert outbox.outbox[-1].attachments == []
