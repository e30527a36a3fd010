"""The chain over facts: what is changed past the guards is told, and where; what may go or change is not."""

from datetime import timedelta
from io import StringIO
from types import SimpleNamespace

import psycopg
import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from billing import books, chaining, events, retaining
from billing.models import Event, EventAmendment, EventDigest, RetentionRule
from billing.removing import removing
from tests.fixtures_billing import NOON

pytestmark = pytest.mark.django_db


def say(number=1):
    """So many facts more; answers the last one."""
    for n in range(number):
        with transaction.atomic():
            event = events.record(
                "customer.updated",
                subject=SimpleNamespace(pk="cus_x"),
                actor="user:1",
                now=NOON,
                data={"before": {"name": "A"}, "after": {"name": f"B{n}"}},
                livemode=True,
            )
    return event


def chain():
    return chaining.extend(now=NOON)


def told():
    return list(chaining.differences())


@pytest.fixture(autouse=True)
def small_links(monkeypatch):
    monkeypatch.setattr(chaining, "AT_MOST", 4)


def test_it_chains_what_has_come_since_and_no_more():
    assert chain() == 0
    say(6)
    assert chain() == 2
    assert chain() == 2
    say()
    assert chain() == 3
    assert [len(row.entries) // 40 for row in EventDigest.objects.order_by("number")] == [4, 2, 1]
    assert len(set(EventDigest.objects.values_list("digest", flat=True))) == 3
    assert told() == books.check() == []


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("update billing_event set data = '{}' where number = {n}", "fact {n} was changed"),
        ("update billing_event set actor = 'user:2' where number = {n}", "fact {n} was changed"),
        (
            "update billing_event set recorded_at = recorded_at - interval '1 microsecond' where number = {n}",
            "fact {n} was changed",
        ),
        ("delete from billing_event where number = {n}", "fact {n} is gone"),
        (
            "update billing_event set number = 0 where number = {n}",
            "fact {n} is gone",
        ),
        (
            "update billing_eventdigest set entries = substr(entries, 41) where number = 1",
            "link 1, of facts 1 to {up_to}, was changed",
        ),
        (
            "update billing_eventdigest set digest = repeat('0', 64) where number = 1",
            "link 1, of facts 1 to {up_to}, was changed",
        ),
        ("delete from billing_eventdigest where number = 1", "links 1 to 1 are gone"),
    ],
)
def test_it_names_what_was_changed_past_the_guards(statement, words, without_triggers):
    say(5)
    chain()
    first = EventDigest.objects.get(number=1)
    number = Event.objects.order_by("number")[2].number
    with without_triggers(), connection.cursor() as cursor:
        cursor.execute(statement.replace("{n}", str(number)))
    assert words.format(n=number, up_to=first.up_to) in told()
    assert "I-37b" in {breach.id for breach in books.check()}


def test_a_fact_that_is_put_in_later_is_told(without_triggers):
    say(5)
    with without_triggers():
        hole = Event.objects.order_by("number")[1].number
        Event.objects.filter(number=hole).update(number=1_000_000)
        chain()
        Event.objects.filter(number=1_000_000).update(number=hole)
    assert f"fact {hole} was put in later" in told()


def test_what_an_erasure_changes_is_known_and_chained_itself(without_triggers):
    event = say(3)
    chain()
    for words in ("erased", "erased again"):
        with removing("erasure"):
            Event.objects.filter(pk=event.pk).update(data={"name": words})
    assert told() == []
    assert chain() == 2
    assert told() == []
    with without_triggers():
        EventAmendment.objects.order_by("id").first().delete()
    assert told() == [
        f"fact {event.number} was changed",
        f"link 2, of facts {event.number + 1} to {event.number}, was changed",
    ]


def test_what_goes_for_its_age_leaves_its_hash(without_triggers):
    say(6)
    with without_triggers():
        Event.objects.update(recorded_at=NOON - timedelta(days=500))
    chain()
    RetentionRule.objects.update_or_create(kind="events", defaults={"days": 400})
    assert [done.rows for done in retaining.apply(now=NOON, actor="system")] == [6]
    assert told() == []
    chain()
    with without_triggers():
        Event.objects.filter(type="retention.applied").delete()
    assert len(told()) == 1


def test_the_night_asks_a_share_of_the_links(without_triggers):
    say(12)
    chain()
    with without_triggers():
        Event.objects.filter(pk=Event.objects.order_by("number")[5].pk).update(actor="user:2")
    assert [bool(list(chaining.differences(share=n, of=3))) for n in (0, 1, 2)] == [False, False, True]


def test_a_head_that_was_kept_elsewhere_is_asked_for():
    say(5)
    chain()
    kept = str(chaining.head())
    say()
    chain()
    out = StringIO()
    call_command("verify_facts", "--kept", kept, stdout=out, stderr=StringIO())
    assert out.getvalue().strip() == str(chaining.head())
    for made_up in ("2:" + "0" * 64, "9:" + kept[2:], "nothing", ""):
        wrong = StringIO()
        with pytest.raises(SystemExit):
            call_command("verify_facts", "--kept", made_up, stdout=StringIO(), stderr=wrong)
        assert "is not in the chain" in wrong.getvalue()


def test_nobody_changes_a_link():
    say()
    chain()
    with pytest.raises(IntegrityError), transaction.atomic():
        EventDigest.objects.update(digest="0" * 64)
    with pytest.raises(IntegrityError), transaction.atomic():
        EventDigest.objects.all().delete()


def test_every_column_of_a_fact_is_hashed():
    with connection.cursor() as cursor:
        cursor.execute("select pg_get_functiondef('tandem_fact_hash'::regproc)")
        (source,) = cursor.fetchone()
    assert [field.column for field in Event._meta.concrete_fields if f"e.{field.column}" not in source] == []


@pytest.mark.django_db(transaction=True)
def test_a_number_that_is_given_and_not_committed_is_waited_for():
    """The fact with the lower number is committed last: a link that had not waited would have passed it by."""
    say()
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute(
            "insert into billing_event (id, type, object_id, sequence, livemode, actor, at, recorded_at, data)"
            " values (gen_random_uuid(), 'customer.updated', 'cus_y', 1, true, 'user:1', now(), now(), '{}')"
        )
        say()
        assert chaining.extend(now=NOON, patience=0) == 0
        other.commit()
    assert chain() == 1
    assert len(EventDigest.objects.get().entries) == 3 * 40
    assert told() == []
