"""Mails: written in the transaction of their cause, sent by a job, and kept where there is no mail server.

A mail is three templates, `templates/mail/<name>.subject.txt`, `.txt` and `.html`. Text is rendered without
HTML escaping, the HTML part with it. Where somebody waits for the cause, only its subject is written with it
(`planned`), and the rest when it goes out.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email.utils import parseaddr
from functools import cache
from typing import Any, cast

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.message import EmailMessage
from django.db import connection
from django.db.models import Field
from django.template.backends.django import DjangoTemplates
from django.template.loader import render_to_string
from django.utils.functional import SimpleLazyObject
from django_q.tasks import async_task

from billing import jobs, printing
from billing.models import Customer, Document, Event, Invoice, KeptMail, Mail, Seller
from billing.papers.isolated import PaperFailed

# A mail that fails this often is left for somebody to look at.
MOST_ATTEMPTS = 12
# From this attempt on an invoice is mailed without its paper, where that cannot be made.
WITHOUT_A_PAPER = 3

# What stands in a mail that was `planned`, by the prefix of its event: said when the apps are loaded.
words_of: dict[str, Callable[[Mail], Mapping[str, Any]]] = {}

logger = logging.getLogger("tandem.mail")


def compose(
    *,
    template: str,
    to: str,
    context: Mapping[str, Any],
    event: Event | str,
    now: datetime,
    customer: Customer | None = None,
    invoice: Invoice | None = None,
    document: Document | None = None,
    more_documents: Sequence[Document] = (),
) -> Mail | None:
    """Write a mail and enqueue its sending, inside the transaction of its cause.

    None when this event already wrote this template to this recipient. `invoice` is attached as its PDF when
    the mail goes out, `document` and `more_documents` as they are.
    """
    mail = written(
        template=template, to=to, context=context, event=event, now=now, customer=customer, invoice=invoice,
        document=document,
    )  # fmt: skip
    if not post([mail]):
        return None
    mail.more_documents.add(*more_documents)
    return mail


def written(
    *,
    template: str,
    to: str,
    context: Mapping[str, Any],
    event: Event | str,
    now: datetime,
    customer: Customer | None = None,
    invoice: Invoice | None = None,
    document: Document | None = None,
) -> Mail:
    """The mail as `compose` writes it, not stored yet."""
    cause = event.public_id if isinstance(event, Event) else event
    parts = render(template, {**standard(customer, invoice), "recipient": to, **context})
    return Mail(
        event=cause, template=template, recipient=to, customer=customer, invoice=invoice, document=document,
        created_at=now, **parts,
    )  # fmt: skip


def planned(
    *,
    template: str,
    to: str,
    context: Mapping[str, Any],
    event: str,
    now: datetime,
    customer: Customer | None = None,
    invoice: Invoice | None = None,
) -> Mail:
    """A mail with its subject alone, which `context` is for, not stored yet: what else it says is asked (`words_of`) and
    written when it goes out, so that its cause need not wait for it."""
    subject = _subject(template, {**standard(customer, invoice), "recipient": to, **context})
    return Mail(
        event=event, template=template, recipient=to, customer=customer, invoice=invoice, created_at=now, subject=subject
    )  # fmt: skip


def post(mails: Sequence[Mail]) -> list[Mail]:
    """Store what was `written` by one statement, and enqueue its sending. Answers those that are new."""
    new = _insert(mails)
    for mail in new:
        send_soon(mail)
    return new


def send_soon(mail: Mail) -> None:
    """Enqueue the sending of a mail that is stored in this transaction. One with an invoice comes after all other jobs: a
    paper has to be printed, and a billing run brings thousands."""
    behind = {"cluster": jobs.BEHIND} if mail.invoice_id else {}
    async_task("billing.tasks.send_mail", mail.pk, **behind)


def standard(customer: Customer | None, invoice: Invoice | None) -> dict[str, Any]:
    """What every mail may name."""
    return {
        "seller": SimpleLazyObject(Seller.objects.get), "site_url": settings.SITE_URL, "customer": customer,
        "invoice": invoice, "portal_url": f"{settings.SITE_URL}/portal/",
    }  # fmt: skip


def portal_url(path: str = "") -> str:
    """An address in the customer's portal, for mails."""
    return f"{settings.SITE_URL}/portal/{path}"


# Mail programs make links of what looks like an address.
_LINKS = re.compile(r"[/@:]|\w\.\w")


def greeted(name: str) -> str:
    """A typed name, for a mail to an address that nobody has confirmed: "" where it could carry somebody's link."""
    return "" if _LINKS.search(name) else name


def render(template: str, context: Mapping[str, Any]) -> dict[str, str]:
    """The subject (one line), text and html of a mail."""
    return {
        "subject": _subject(template, context),
        "text": _plain(f"mail/{template}.txt", context).strip() + "\n",
        "html": render_to_string(f"mail/{template}.html", dict(context)),
    }


def _subject(template: str, context: Mapping[str, Any]) -> str:
    return " ".join(_plain(f"mail/{template}.subject.txt", context).split())[:300]


@cache
def _text_engine() -> DjangoTemplates:
    options = {"autoescape": False}
    dirs = settings.TEMPLATES[0]["DIRS"]
    return DjangoTemplates({"NAME": "plain", "DIRS": dirs, "APP_DIRS": True, "OPTIONS": options})


def _plain(name: str, context: Mapping[str, Any]) -> str:
    return _text_engine().get_template(name).render(dict(context))


_COLUMNS = "id event template recipient customer subject text html invoice document created_at".split()
_ONCE = """
insert into billing_mail (id, event, template, recipient, customer_id, subject, text, html, invoice_id,
                          document_id, created_at, attempts, error)
values {}
on conflict (event, recipient, template) do nothing
returning id
"""


def _insert(mails: Sequence[Mail]) -> list[Mail]:
    """Those whose rows are new. One statement, whoever else writes the same mails."""
    fields = [cast(Field, Mail._meta.get_field(name)) for name in _COLUMNS]
    line = f"({', '.join(['%s'] * len(fields))}, 0, '')"
    values = [
        field.get_db_prep_save(getattr(mail, field.attname), connection) for mail in mails for field in fields
    ]
    with connection.cursor() as cursor:
        cursor.execute(_ONCE.format(", ".join([line] * len(mails))), values)
        new = {id_.hex for (id_,) in cursor.fetchall()}
    return [mail for mail in mails if mail.pk[-32:] in new]


# -- Sending ------------------------------------------------------------------------------------------------


def deliver(mail: Mail, *, now: datetime) -> bool:
    """Send it unless it is sent. False when there is nothing to do or another worker has it.

    Repeatable: the same Message-ID goes out every time, so that a mail sent twice by a crash is one mail to
    its reader. Raises what the mail server says; the row keeps the reason.
    """
    if not _claim(mail, now):
        return False
    try:
        _write_out(mail)
        message(mail).send()
    except Exception as error:
        Mail.objects.filter(pk=mail.pk).update(error=f"{type(error).__name__}: {error}"[:300])
        raise
    Mail.objects.filter(pk=mail.pk).update(sent_at=now, error="")
    return True


def _claim(mail: Mail, now: datetime) -> bool:
    """Compare-and-set on the count of attempts: of two workers one goes on."""
    waiting = Mail.objects.filter(pk=mail.pk, sent_at__isnull=True, attempts=mail.attempts)
    claimed = bool(waiting.update(attempts=mail.attempts + 1, tried_at=now))
    mail.attempts += claimed
    return claimed


def _write_out(mail: Mail) -> None:
    """What was `planned` gets its words, once: every try says the same."""
    if mail.text:
        return
    context = words_of[mail.event.partition("_")[0]](mail)
    parts = render(
        mail.template, {**standard(mail.customer, mail.invoice), "recipient": mail.recipient, **context}
    )
    for name, text in parts.items():
        setattr(mail, name, text)
    Mail.objects.filter(pk=mail.pk).update(**parts)


def message(mail: Mail) -> EmailMultiAlternatives:
    """The mail as it goes out, attachments included. A line break in a header raises BadHeaderError."""
    host = settings.SITE_URL.partition("://")[2].partition("/")[0].partition(":")[0]
    headers = {"Message-ID": f"<{mail.pk}@{host}>", "Auto-Submitted": "auto-generated"}
    sent = EmailMultiAlternatives(mail.subject, mail.text, None, [mail.recipient], headers=headers)
    sent.attach_alternative(mail.html, "text/html")
    papers = [paper for paper in attachments(mail) if paper.content]
    for paper in papers:
        sent.attach(paper.name, paper.read(), paper.media_type)
    sent.papers = papers  # type: ignore[attr-defined]
    return sent


def attachments(mail: Mail) -> Sequence[Document]:
    """The papers that go with it; an invoice that has none yet is printed now. Raises PaperFailed; later it goes without:
    who owes is told of an invoice whose paper cannot be made, too, and sees it on the page that the mail names."""
    papers = [*([mail.document] if mail.document else []), *mail.more_documents.order_by("name")]
    if mail.invoice_id:
        try:
            papers.append(printing.print_invoice(mail.invoice_id))
        except PaperFailed:
            if mail.attempts < WITHOUT_A_PAPER:
                raise
            logger.exception("Invoice %s is mailed without its paper", mail.invoice_id)
    return papers


class KeepingBackend(BaseEmailBackend):
    """Keeps every mail in the database instead of sending it; `/mail/` shows them."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        KeptMail.objects.bulk_create([_kept(message) for message in email_messages])
        return len(email_messages)


def _kept(sent: EmailMessage) -> KeptMail:
    sent.message()  # what a mail server would refuse is refused here too
    alternatives = getattr(sent, "alternatives", [])
    html = next((str(content) for content, kind in alternatives if kind == "text/html"), "")
    papers = [{"name": paper.name, "document": paper.pk} for paper in getattr(sent, "papers", [])]
    return KeptMail(
        recipient=", ".join(parseaddr(each)[1] for each in sent.recipients())[:320],
        sender=sent.from_email[:320],
        subject=sent.subject[:300],
        text=str(sent.body),
        html=html,
        attachments=papers,
    )
