import json
import re
import shutil
from datetime import timedelta
from io import StringIO

import pytest
from django.conf import settings as settings_of_django
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.utils import timezone
from django_q.models import OrmQ

from billing import gateway, prepared
from billing.gateway import Endpoint, GatewayMisuse, ProviderUnreachable
from billing.models import Customer, ProviderEvent, Seller
from config import doctor, schedules

LIVE = {"STRIPE_SECRET_KEY": "sk_live_1", "STRIPE_PUBLISHABLE_KEY": "pk_live_1", "STRIPE_FAKE": False}
TEST = {"STRIPE_SECRET_KEY": "rk_test_1", "STRIPE_PUBLISHABLE_KEY": "pk_test_1", "STRIPE_FAKE": False}


def mailer(backend: str) -> dict[str, object]:
    return {"MAILERS": {"default": {"BACKEND": backend}}}


def given(settings, **values: object) -> None:
    for name, value in values.items():
        setattr(settings, name, value)


@pytest.mark.django_db
def test_it_finds_nothing_wrong_with_a_development_machine(settings) -> None:
    schedules.write(jobs=schedules.JOBS, now=timezone.now())
    marks = {finding.name: finding.mark for finding in doctor.examine()}
    assert {name for name, mark in marks.items() if mark == "fail"} == set()
    assert {"database", "migrations", "recurring jobs", "worker", "queue"} <= marks.keys()


@pytest.mark.django_db
def test_it_fails_with_an_exit_code_and_in_json(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MACHINE", [doctor.stripe])
    given(settings, **LIVE | {"STRIPE_FAKE": True})
    out = StringIO()
    with pytest.raises(SystemExit, match="1"):
        call_command("doctor", json=True, stdout=out)
    assert json.loads(out.getvalue())[0] == {
        "name": "stripe",
        "mark": "fail",
        "text": "STRIPE_FAKE is on beside a live key",
    }


def test_it_asks_nothing_more_of_a_database_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise DatabaseError("connection refused\nat great length")

    monkeypatch.setattr(connection, "cursor", gone)
    monkeypatch.setattr(doctor, "MACHINE", [])
    (finding,) = doctor.examine()
    assert (finding.mark, finding.name) == ("fail", "database")
    assert finding.text.startswith("does not answer: connection refused")


@pytest.mark.parametrize(
    ("values", "mark", "word"),
    [
        ({}, "ok", "stand-in"),
        (LIVE, "ok", "live keys"),
        (TEST, "ok", "test keys"),
        (LIVE | {"STRIPE_FAKE": True}, "fail", "beside a live key"),
        (LIVE | {"STRIPE_PUBLISHABLE_KEY": "pk_test_1"}, "fail", "live and test"),
        (TEST | {"STRIPE_SECRET_KEY": "secret"}, "fail", "not a key"),
        (LIVE | {"PRODUCTION": True}, "ok", "live keys"),
        (TEST | {"PRODUCTION": True}, "warn", "no money moves"),
    ],
)
def test_it_never_lets_test_and_live_keys_mix(settings, values, mark: str, word: str) -> None:
    given(settings, **values)
    found, text = doctor.stripe()
    assert found == mark
    assert word in text


@pytest.mark.parametrize(
    ("check", "values", "mark"),
    [
        (doctor.secrets, {"SECRET_KEY": "short"}, "fail"),
        (doctor.secrets, {"SECRET_KEY": "x" * 50}, "ok"),
        (doctor.secrets, {"SECRET_KEY": "x" * 50, "ALLOWED_HOSTS": ["*"]}, "warn"),
        (doctor.site_address, {"SITE_URL": "http://testserver"}, "fail"),
        (doctor.site_address, {"SITE_URL": "https://testserver"}, "ok"),
        (doctor.site_address, {"SITE_URL": "https://elsewhere.example"}, "fail"),
        (doctor.mail, mailer("billing.mail.KeepingBackend"), "fail"),
        (doctor.mail, mailer("django.core.mail.backends.console.EmailBackend"), "fail"),
        (doctor.mail, mailer("django.core.mail.backends.smtp.EmailBackend"), "ok"),
    ],
)
def test_it_is_strict_in_production(settings, check: doctor.Check, values, mark: str) -> None:
    given(settings, PRODUCTION=True, ALLOWED_HOSTS=["testserver"])
    given(settings, **values)
    assert check()[0] == mark


@pytest.mark.parametrize(
    ("free", "mark"), [(1_000_000, "fail"), (1_000_000_000, "warn"), (9_000_000_000, "ok")]
)
def test_it_looks_at_the_disk(monkeypatch: pytest.MonkeyPatch, free: int, mark: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(free, 0, free))
    assert doctor.disk()[0] == mark


@pytest.mark.django_db
def test_it_sees_a_job_worker_by_its_connection(settings) -> None:
    assert doctor.worker() == ("warn", "no job worker is running: manage.py qcluster")
    settings.PRODUCTION = True
    assert doctor.worker()[0] == "fail"
    with connection.cursor() as cursor:
        cursor.execute("SET application_name = 'tandem worker'")
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # else the first look holds for the transaction
    try:
        assert doctor.worker() == ("ok", "running")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET application_name = 'tandem'")


@pytest.mark.django_db
def test_it_sees_jobs_that_nobody_does() -> None:
    assert doctor.queue() == ("ok", "nothing waits")
    OrmQ.objects.create(key="tandem", payload="", lock=timezone.now() - timedelta(minutes=11))
    assert doctor.queue() == ("warn", "1 jobs have waited more than ten minutes")


@pytest.mark.django_db
def test_it_sees_recurring_jobs_that_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "JOBS", [schedules.Job("a", "config.schedules.write", minutes=1)])
    assert doctor.recurring_jobs() == ("fail", "1 of 1 are not written: manage.py schedules")
    schedules.write(jobs=schedules.JOBS, now=timezone.now())
    assert doctor.recurring_jobs() == ("ok", "1 written")


# -- Going live -----------------------------------------------------------------------------------------------


class Account:
    """A Stripe account with these endpoints, or one that refuses to be asked."""

    def __init__(self, *endpoints, error=None):
        self.endpoints, self.error = endpoints, error

    def webhook_endpoints(self):
        if self.error:
            raise self.error
        return list(self.endpoints)


HOOK = "https://billing.example/webhooks/stripe/"


@pytest.mark.parametrize(
    ("account", "mark", "words"),
    [
        (Account(Endpoint(HOOK, True, ("*",))), "ok", "calls us"),
        (Account(Endpoint(HOOK, True, doctor.NEEDED_EVENTS)), "ok", "calls us"),
        (
            Account(Endpoint(HOOK, True, ("payment_intent.succeeded",))),
            "fail",
            "does not send payment_intent.p",
        ),
        (Account(Endpoint(HOOK, False, ("*",))), "fail", "is switched off"),
        (Account(Endpoint("https://other.example/", True, ("*",))), "fail", "is missing"),
        (Account(error=ProviderUnreachable("no answer")), "fail", "no answer"),
        (
            Account(error=GatewayMisuse("Invalid API Key")),
            "fail",
            "refuses STRIPE_SECRET_KEY: Invalid API Key",
        ),
    ],
)
def test_it_asks_stripe_only_when_told_to(settings, monkeypatch, account, mark, words) -> None:
    given(settings, **LIVE, SITE_URL="https://billing.example")
    monkeypatch.setattr(gateway, "gateway", lambda: account)
    assert doctor.stripe_account()[0] == mark
    assert words in doctor.stripe_account()[1]
    assert doctor.stripe_account not in doctor.MACHINE + doctor.DATABASE


def test_a_webhook_secret_is_stripes(settings) -> None:
    assert doctor.webhook_secret()[0] == "ok"
    given(settings, **LIVE, STRIPE_WEBHOOK_SECRETS=["whsec_1", "whsec_2"])
    assert doctor.webhook_secret() == ("ok", "2 believed")
    given(settings, STRIPE_WEBHOOK_SECRETS=["sk_live_1"])
    assert doctor.webhook_secret()[0] == "fail"


@pytest.mark.django_db
def test_the_sample_seller_does_not_go_live(settings, catalogue) -> None:
    assert doctor.seller_details()[0] == "ok"
    given(settings, PRODUCTION=True)
    assert doctor.seller_details()[0] == "fail"
    Seller.objects.update(legal_name="Nordlicht GmbH")
    assert doctor.seller_details() == ("ok", "Nordlicht GmbH")


@pytest.mark.django_db
def test_it_asks_for_the_pages_that_buyers_agree_to(settings, catalogue) -> None:
    assert doctor.legal_pages()[0] == "ok"
    given(settings, STRIPE_LIVE_MODE=True)
    assert doctor.legal_pages()[0] == "warn"  # they are the sample's
    Seller.objects.update(terms_url="https://seller.example/t", privacy_url="https://seller.example/p")
    assert doctor.legal_pages() == ("ok", "terms of service, privacy policy")
    Seller.objects.update(privacy_url="")
    where = "Set-up, Seller in the admin"
    assert doctor.legal_pages() == ("warn", f"buyers are shown no privacy policy of yours: {where}")
    Seller.objects.update(terms_url="")
    assert doctor.legal_pages() == (
        "warn",
        f"buyers are shown no terms of service and no privacy policy of yours: {where}",
    )
    given(settings, STRIPE_LIVE_MODE=False)
    assert doctor.legal_pages()[0] == "ok"
    Seller.objects.all().delete()
    assert doctor.legal_pages()[0] == "ok"


@pytest.mark.django_db
def test_it_says_when_stripe_called_last(settings) -> None:
    given(settings, **LIVE)
    assert doctor.webhooks_received()[0] == "warn"
    ProviderEvent.objects.create(provider_id="evt_1", type="ping", payload={})
    assert doctor.webhooks_received()[0] == "ok"


@pytest.mark.django_db
def test_it_sees_customers_of_the_other_mode(settings, catalogue, make_customer) -> None:
    assert doctor.customers_mode() == ("ok", "all sandbox")
    customer = make_customer()
    given(settings, STRIPE_LIVE_MODE=True)
    assert doctor.customers_mode()[0] == "warn"
    Customer.objects.filter(pk=customer.pk).update(livemode=True)
    assert doctor.customers_mode() == ("ok", "all live")
    given(settings, STRIPE_LIVE_MODE=False)
    assert doctor.customers_mode() == (
        "fail",
        "1 live customers beside test keys: none of them can be charged",
    )


def test_the_steps_of_going_live_name_every_check_and_no_other() -> None:
    page = (settings_of_django.BASE_DIR / "docs/going-live.md").read_text()
    steps = page.partition("| step |")[2].partition("## ")[0]
    named = set(
        re.findall(r"`([a-z][a-z ]+)`", "".join(row.rpartition(" | ")[2] for row in steps.splitlines()))
    )
    checks = (*doctor.MACHINE, doctor.database, *doctor.DATABASE, *doctor.ONLINE)
    assert named == {check.__name__.replace("_", " ") for check in checks}


def told_by_the_server(monkeypatch, **values: str) -> None:
    monkeypatch.setattr(doctor, "server_settings", lambda *names: [values.get(name, "on") for name in names])


@pytest.mark.django_db
@pytest.mark.parametrize(("most", "mark"), [("18", "ok"), ("17", "warn")])
def test_it_counts_the_connections_that_are_wanted(settings, monkeypatch, most: str, mark: str) -> None:
    """2 web processes of 4 threads, and a job worker with 2: 8 and 7; three are the superuser's."""
    given(settings, WORKERS=2)
    for name in ("WEB_WORKERS", "WEB_THREADS"):
        monkeypatch.delenv(name, raising=False)
    told_by_the_server(
        monkeypatch, max_connections=most, superuser_reserved_connections="3", reserved_connections=""
    )
    assert doctor.places()[0] == mark
    monkeypatch.setattr(prepared, "behind_a_pooler", lambda: True)
    assert doctor.places()[0] == "ok"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "mark", "word"),
    [
        ({"fsync": "off"}, "fail", "fsync off"),
        ({"synchronous_commit": "local"}, "fail", "synchronous_commit off"),
        ({"synchronous_commit": "remote_write"}, "ok", "before anybody is told"),
    ],
)
def test_production_keeps_what_it_told(settings, monkeypatch, values, mark: str, word: str) -> None:
    given(settings, PRODUCTION=True)
    told_by_the_server(monkeypatch, **values)
    found, text = doctor.durability()
    assert (found, word in text) == (mark, True)


@pytest.mark.django_db
def test_through_a_pooler_it_asks_for_limits_of_the_role(monkeypatch) -> None:
    assert doctor.pooler() == ("ok", "none")
    monkeypatch.setattr(prepared, "behind_a_pooler", lambda: True)
    told_by_the_server(monkeypatch, lock_timeout="0")
    mark, text = doctor.pooler()
    assert mark == "warn"
    assert "lock_timeout = '60s'" in text
    assert "statement_timeout" not in text
    told_by_the_server(monkeypatch)
    assert doctor.pooler()[0] == "ok"
