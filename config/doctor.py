"""Whether Tandem has what it needs on this machine: one function for each question.

A check gives a Finding: `ok`, `warn` (works, but somebody should know) or `fail`, and the line that mends it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection
from django.utils import timezone

from billing import prepared
from config import chromium, roles, schedules

OLDEST_POSTGRES = 15
LITTLE_DISK, TOO_LITTLE_DISK = 2_000_000_000, 200_000_000  # bytes
SHORTEST_SECRET = 50
PANGO = "apt install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
RESERVED = ("superuser_reserved_connections", "reserved_connections")
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
# What the web and the job workers ask for themselves where no pooler is between (config/settings.py); of both the longer.
LIMITS = {
    "statement_timeout": "280s",
    "lock_timeout": "60s",
    "idle_in_transaction_session_timeout": "120s",
}
KEEPING_MAIL = ("billing.mail.KeepingBackend", "dummy", "console", "locmem", "filebased")


@dataclass(frozen=True)
class Finding:
    name: str
    mark: str  # ok, warn or fail
    text: str


Check = Callable[[], tuple[str, str]]


def examine(*, online: bool = False) -> list[Finding]:
    """Every check's finding, in the order of the page; those of the database only when it answers, and what asks
    Stripe only when told to."""
    findings = [finding(check) for check in [*MACHINE, *(ONLINE if online else [])]]
    answers = finding(database)
    findings.append(answers)
    if answers.mark != "fail":
        findings += [finding(check) for check in DATABASE]
    return findings


def finding(check: Check) -> Finding:
    mark, text = check()
    return Finding(check.__name__.replace("_", " "), mark, text)


# -- This machine --------------------------------------------------------------------------------------


def python() -> tuple[str, str]:
    version = ".".join(map(str, sys.version_info[:3]))
    return ("ok", version) if sys.version_info >= (3, 12) else ("fail", f"{version}; 3.12 or newer is needed")


def papers() -> tuple[str, str]:
    try:
        from weasyprint import HTML

        HTML(string="<p>ok").render()
    except (ImportError, OSError) as error:
        return "fail", f"PDFs cannot be made ({str(error).splitlines()[0]}): {PANGO}"
    where = (
        "without a network" if leaves_the_network() else "with a network: this system lets nobody leave it"
    )
    return "ok", f"PDFs can be made, in a process {where}"


def leaves_the_network() -> bool:
    """Asked of a process that ends right after it."""
    leave = "from billing.papers.helper import leave_the_network as leave; import sys; sys.exit(not leave())"
    return subprocess.run([sys.executable, "-c", leave], cwd=settings.BASE_DIR, check=False).returncode == 0  # noqa: S603


def browser() -> tuple[str, str]:
    found = chromium.find_chromium()
    if settings.PRODUCTION or found:
        return "ok", found or "not needed in production"
    return "warn", f"{chromium.HOW_TO_GET_ONE} Only the browser tests need it."


def disk() -> tuple[str, str]:
    place = settings.TANDEM_HOME if settings.TANDEM_HOME.exists() else settings.BASE_DIR
    free = shutil.disk_usage(place).free
    mark = "fail" if free < TOO_LITTLE_DISK else "warn" if free < LITTLE_DISK else "ok"
    return mark, f"{free / 1e9:.1f} GB free at {place}"


# -- Settings ------------------------------------------------------------------------------------------


def secrets() -> tuple[str, str]:
    if not settings.PRODUCTION:
        return "ok", "development values; TANDEM_ENV=production refuses them"
    if len(settings.SECRET_KEY) < SHORTEST_SECRET:
        return "fail", f"SECRET_KEY has fewer than {SHORTEST_SECRET} characters"
    if "*" in settings.ALLOWED_HOSTS:
        return "warn", "ALLOWED_HOSTS takes every name; list the real ones"
    return "ok", "set"


def site_address() -> tuple[str, str]:
    address = urlsplit(settings.SITE_URL)
    if settings.PRODUCTION and address.scheme != "https":
        return "fail", f"SITE_URL is {settings.SITE_URL}; production needs https"
    if address.hostname not in settings.ALLOWED_HOSTS and "*" not in settings.ALLOWED_HOSTS:
        return "fail", f"SITE_URL's host {address.hostname} is not in ALLOWED_HOSTS"
    return "ok", settings.SITE_URL


def stripe() -> tuple[str, str]:
    modes = {stripe_mode(settings.STRIPE_SECRET_KEY), stripe_mode(settings.STRIPE_PUBLISHABLE_KEY)}
    if "unknown" in modes:
        return "fail", "STRIPE_SECRET_KEY or STRIPE_PUBLISHABLE_KEY is not a key of Stripe's (sk_…, pk_…)"
    if len(modes) > 1:
        return "fail", "the secret and the publishable key are of different modes: " + " and ".join(
            sorted(modes)
        )
    mode = modes.pop()
    if settings.STRIPE_FAKE and mode == "live":
        return "fail", "STRIPE_FAKE is on beside a live key"
    if settings.PRODUCTION and (settings.STRIPE_FAKE or mode != "live"):
        return "warn", "no money moves: " + ("the stand-in is on" if settings.STRIPE_FAKE else f"{mode} keys")
    return "ok", "the stand-in, no account needed" if settings.STRIPE_FAKE else f"{mode} keys"


def stripe_mode(key: str) -> str:
    if "tandemsandbox" in key:
        return "stand-in"
    parts = key.split("_")
    known = len(parts) >= 3 and parts[0] in ("sk", "rk", "pk") and parts[1] in ("test", "live")
    return parts[1] if known else "unknown"


def webhook_secret() -> tuple[str, str]:
    if settings.STRIPE_FAKE:
        return "ok", "the stand-in's"
    if not all(secret.startswith("whsec_") for secret in settings.STRIPE_WEBHOOK_SECRETS):
        return "fail", "STRIPE_WEBHOOK_SECRET is not a signing secret of Stripe's (whsec_…)"
    return "ok", f"{len(settings.STRIPE_WEBHOOK_SECRETS)} believed" if settings.STRIPE_WEBHOOK_SECRETS[
        1:
    ] else "set"


def mail() -> tuple[str, str]:
    backend = settings.MAILERS["default"]["BACKEND"]
    kept = any(name in backend for name in KEEPING_MAIL)
    if kept and settings.PRODUCTION:
        return "fail", f"{backend} sends nothing; set EMAIL_URL"
    return "ok", "kept in the database, not sent" if kept else backend


# -- The database -----------------------------------------------------------------------------------------


def database() -> tuple[str, str]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('server_version_num')::int / 10000, now()")
            major, its_now = cursor.fetchone()
    except DatabaseError as error:
        hint = " Is the demo running? `make doctor` starts its database." if settings.EMBEDDED else ""
        return "fail", f"does not answer: {str(error).strip().splitlines()[0]}{hint}"
    if major < OLDEST_POSTGRES:
        return "fail", f"PostgreSQL {major}; {OLDEST_POSTGRES} or newer is needed"
    if abs(its_now - timezone.now()) > timedelta(minutes=1):
        return "warn", "its clock and this machine's differ by more than a minute"
    return "ok", f"PostgreSQL {major}"


def migrations() -> tuple[str, str]:
    try:
        call_command("migrate", check_unapplied=True, verbosity=0)
    except (CommandError, SystemExit):
        return "fail", "not all applied: manage.py migrate"
    return "ok", "all applied"


def server_settings(*names: str) -> list[str]:
    """As they are for this session; empty where this version has none of that name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(current_setting(name, true), '') FROM unnest(%s::text[]) name", [list(names)]
        )
        return [value for (value,) in cursor.fetchall()]


def places() -> tuple[str, str]:
    """Whether the server has a connection for every thread and every process that wants one."""
    most, *reserved = server_settings("max_connections", *RESERVED)
    free = int(most) - sum(int(value or 0) for value in reserved)
    web = int(os.environ.get("WEB_WORKERS", "2")) * int(os.environ.get("WEB_THREADS", "4"))
    wanted = web + 2 * settings.WORKERS + 3
    if wanted <= free or prepared.behind_a_pooler():
        return "ok", f"{wanted} connections wanted, {free} there"
    return (
        "warn",
        f"{wanted} connections wanted, {free} there: fewer WEB_THREADS, more max_connections, or a pooler",
    )


def durability() -> tuple[str, str]:
    """Whether what somebody was told is committed outlives the server, and its machine."""
    *safe, names = server_settings(*DURABLE, "synchronous_standby_names")
    off = [name for name, value in zip(DURABLE, safe, strict=True) if value in ("off", "local")]
    if off:
        bad = f"{', '.join(off)} off: a crash may lose what was paid"
        return "fail" if settings.PRODUCTION else "warn", bad
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_replication")
        (standbys,) = cursor.fetchone()
    if standbys and not names:
        return (
            "warn",
            f"{standbys} standbys, none synchronous: failing over loses the last seconds (docs/operating.md)",
        )
    return "ok", "kept before anybody is told" + (", by a standby too" if standbys else "")


def pooler() -> tuple[str, str]:
    """Through one, the limits on waiting are the role's: what a connection asks for is not passed on."""
    if not prepared.behind_a_pooler():
        return "ok", "none"
    endless = [name for name, value in zip(LIMITS, server_settings(*LIMITS), strict=True) if value == "0"]
    if endless:
        mend = "; ".join(f"ALTER ROLE … SET {name} = '{LIMITS[name]}'" for name in endless)
        return "warn", f"statements may wait for ever: {mend}"
    return "ok", "between Tandem and the database; nothing is left to a session"


def role() -> tuple[str, str]:
    """Whether web and jobs connect as somebody who could take away what was written."""
    found = roles.too_much()
    if not found:
        return "ok", "deletes no papers and no facts"
    if not settings.PRODUCTION:
        return "ok", "owns the tables; in production another one should work with them"
    more = f" and {len(found) - 1} more" if found[1:] else ""
    return (
        "warn",
        f"the role of DATABASE_URL {found[0]}{more}: manage.py app_role (docs/operating.md, Two roles)",
    )


def worker() -> tuple[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'tandem worker' AND datname = current_database()"
        )
        (found,) = cursor.fetchone()
    if found:
        return "ok", "running"
    if prepared.behind_a_pooler():
        return "warn", "none to be seen at the moment; through a pooler, who works is not always"
    return "fail" if settings.PRODUCTION else "warn", "no job worker is running: manage.py qcluster"


def queue() -> tuple[str, str]:
    from django_q.models import OrmQ

    try:
        late = OrmQ.objects.filter(lock__lt=timezone.now() - timedelta(minutes=10)).count()
    except DatabaseError:
        return "fail", "no queue yet: manage.py migrate"
    return ("warn", f"{late} jobs have waited more than ten minutes") if late else ("ok", "nothing waits")


def recurring_jobs() -> tuple[str, str]:
    from django_q.models import Schedule

    wanted = {schedules.PREFIX + job.name for job in schedules.JOBS}
    try:
        missing = wanted - set(Schedule.objects.values_list("name", flat=True))
    except DatabaseError:
        return "fail", "no schedules yet: manage.py migrate"
    if missing:
        return "fail", f"{len(missing)} of {len(wanted)} are not written: manage.py schedules"
    return "ok", f"{len(wanted)} written"


def webhooks_received() -> tuple[str, str]:
    from billing.models import ProviderEvent

    if settings.STRIPE_FAKE:
        return "ok", "not needed: the stand-in answers at once"
    try:
        last = ProviderEvent.objects.order_by("-received_at").values_list("received_at", flat=True).first()
    except DatabaseError:
        return "fail", "no table yet: manage.py migrate"
    if last is None:
        return "warn", f"Stripe has sent nothing yet; it calls {webhook_address()}"
    return "ok", f"last one {last:%Y-%m-%d %H:%M} UTC"


def seller_details() -> tuple[str, str]:
    from billing.catalogue import SAMPLE_SELLER
    from billing.models import Seller

    try:
        seller = Seller.objects.first()
    except DatabaseError:
        return "fail", "no table yet: manage.py migrate"
    if seller is None:
        return "fail" if settings.PRODUCTION else "warn", "no seller yet: manage.py ship"
    if settings.PRODUCTION and seller.legal_name == SAMPLE_SELLER:
        return "fail", f"invoices would be {SAMPLE_SELLER}'s, the sample: Set-up, Seller in the admin"
    return "ok", seller.legal_name or seller.name


def legal_pages() -> tuple[str, str]:
    """Where buyers pay, they see what they agree to and what becomes of their data; the sample's pages are none."""
    from billing.catalogue import SAMPLE_PAGES
    from billing.models import Seller

    try:
        seller = Seller.objects.only("terms_url", "privacy_url").first()
    except DatabaseError:
        return "fail", "no table yet: manage.py migrate"
    pages = {
        "terms of service": seller and seller.terms_url,
        "privacy policy": seller and seller.privacy_url,
    }
    absent = ("", None, *SAMPLE_PAGES.values()) if settings.STRIPE_LIVE_MODE else ("", None)
    missing = " and no ".join(name for name, page in pages.items() if page in absent)
    if missing and settings.STRIPE_LIVE_MODE:
        return "warn", f"buyers are shown no {missing} of yours: Set-up, Seller in the admin"
    return "ok", f"no {missing} yet; wanted with live keys" if missing else "terms of service, privacy policy"


def customers_mode() -> tuple[str, str]:
    """A database belongs to one mode: nobody is charged whose debts are of the other one than the keys."""
    from billing.models import Customer

    try:
        others = Customer.objects.filter(livemode=not settings.STRIPE_LIVE_MODE).count()
    except DatabaseError:
        return "fail", "no table yet: manage.py migrate"
    if others and not settings.STRIPE_LIVE_MODE:
        return "fail", f"{others:,} live customers beside test keys: none of them can be charged"
    if others:
        return "warn", f"{others:,} sandbox customers beside live keys: none of them can be charged"
    return "ok", "all " + ("live" if settings.STRIPE_LIVE_MODE else "sandbox")


# -- Asking Stripe, only when told to (--online) -------------------------------------------------------------


def webhook_address() -> str:
    return f"{settings.SITE_URL}/webhooks/stripe/"


def stripe_account() -> tuple[str, str]:
    """The key works, and Stripe sends us the events that settle a payment whose answer was lost."""
    from billing.gateway import GatewayMisuse, ProviderUnreachable, gateway

    if settings.STRIPE_FAKE:
        return "ok", "the stand-in is on: nobody to ask"
    try:
        endpoints = [each for each in gateway().webhook_endpoints() if each.url == webhook_address()]
    except ProviderUnreachable as error:
        return "fail", f"does not answer: {error}"
    except GatewayMisuse as error:
        return "fail", f"refuses STRIPE_SECRET_KEY: {error}"
    ours = next((each for each in endpoints if each.enabled), None)
    if ours is None:
        found = "is switched off" if endpoints else "is missing"
        return "fail", f"the webhook endpoint {webhook_address()} {found}"
    missing = [type for type in NEEDED_EVENTS if not ours.sends(type)]
    return (
        ("fail", f"the endpoint does not send {', '.join(missing)}")
        if missing
        else ("ok", "answers, and calls us")
    )


# What settles a payment without anybody asking.
NEEDED_EVENTS = (
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
)

MACHINE: list[Check] = [
    python, papers, browser, disk, secrets, site_address, stripe, webhook_secret, mail,
]  # fmt: skip
DATABASE: list[Check] = [
    places,
    durability,
    pooler,
    role,
    migrations,
    recurring_jobs,
    worker,
    queue,
    seller_details,
    legal_pages,
    customers_mode,
    webhooks_received,
]
ONLINE: list[Check] = [stripe_account]
