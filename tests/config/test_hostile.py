"""What somebody who means harm tries beside what forms and the API are tested with: odd methods and addresses, names of
files, guesses, floods, accounts of others, and the code's own habits that keep such things out."""

import ast
import logging
import re
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
from django.contrib import admin
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from billing import customers, keys, portal_links
from billing.admin.base import Screen
from billing.models import Mail, NumberSeries
from checkout import sessions
from checkout.models import CheckoutSession, Count
from config.logs import Routes
from tests.fixtures_billing import NOON
from tests.staff import signed_in

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("billing", "checkout", "config", "portal", "sales")
MODULES = [
    path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if "migrations" not in path.parts[-2]
]


# -- Methods, addresses, headers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["/", "/pricing/", "/admin/", "/accounts/login/", "/api/v1/customers", "/healthz"]
)
def test_trace_is_refused(client, address):
    assert client.trace(address).status_code == 405


@pytest.mark.django_db
def test_nothing_of_the_installation_is_served(client):
    for path in (
        ".git/HEAD", ".env", "settings.py", "config/settings.py", "db.sqlite3", "manage.py", "static/../manage.py",
        "static/%2e%2e/manage.py", "static/..%2f.env", "static//etc/passwd", "media/", ".well-known/", "debug/",
    ):  # fmt: skip
        assert client.get(f"/{path}").status_code == 404, path


@pytest.mark.django_db
def test_it_says_whom_to_tell_of_a_weakness(client, catalogue):
    answer = client.get("/.well-known/security.txt")
    assert answer.headers["Content-Type"].startswith("text/plain")
    lines = dict(line.split(": ", 1) for line in answer.text.splitlines())
    assert lines["Contact"].startswith("mailto:")
    assert lines["Expires"] > f"{timezone.now():%Y-%m-%dT%H}"


@pytest.mark.django_db
def test_a_paper_has_a_name_that_no_header_takes_amiss(client, subscribe, make_customer):
    NumberSeries.objects.update(prefix='x"; é=')
    invoice = subscribe(make_customer()).invoices.get()
    browser = signed_in("view_invoice")
    named = browser.get(f"/admin/billing/invoice/{invoice.pk}/pdf/").headers["Content-Disposition"]
    assert re.fullmatch(r"inline; filename\*=utf-8''[A-Za-z0-9%._~-]+\.pdf", named)


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/pricing/", "/portal/", "/checkout/start/?plan=pro"])
def test_a_database_that_does_not_answer_is_told_kindly(client, monkeypatch, address):
    def away(*args, **options):
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", away)
    answer = Client(raise_request_exception=False).get(address)
    assert (answer.status_code, answer.headers.get("Retry-After")) in ((503, "5"), (302, None))
    assert "lock timeout" not in answer.text


def in_production(expression, *program):
    """What the settings say where they are read by this program."""
    from tests.config.test_settings import OURS, SECRETS

    code = f"import sys; sys.argv += {list(program)}; {'import gunicorn.http;' if not program else ''}"
    environment = {name: value for name, value in __import__("os").environ.items() if name not in OURS}
    done = subprocess.run(
        [sys.executable, "-c", f"{code} from config import settings; print(({expression}))"], cwd=ROOT, text=True,
        env={**environment, "TANDEM_ENV": "production", **SECRETS}, capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_cookies_are_the_hosts_own_and_nothing_waits_for_ever():
    said = in_production(
        "settings.SESSION_COOKIE_NAME, settings.SESSION_COOKIE_SECURE, settings.SESSION_COOKIE_HTTPONLY, "
        "settings.SESSION_COOKIE_SAMESITE, settings.CSRF_COOKIE_NAME, settings.DATABASES['default']['OPTIONS']['options']"
    )
    cookie, secure, own, site, token, limits = ast.literal_eval(said)
    assert (cookie, secure, own, site, token) == ("__Host-sessionid", True, True, "Lax", "__Host-csrftoken")
    found = dict(re.findall(r"-c (\w+)=(\d+)s", limits))
    assert set(found) == {"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"}
    assert int(found["lock_timeout"]) < 5 < int(found["statement_timeout"]) < 60
    assert "lock_timeout=60s" in in_production(
        "settings.DATABASES['default']['OPTIONS']['options']", "qcluster"
    )
    assert in_production("settings.DATABASES['default']['OPTIONS'].get('options')", "migrate") == "None"


# -- Accounts -------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_nobody_takes_an_address_that_is_not_theirs(client, make_customer):
    """Who is invited by it later would else share an account with whoever claimed it."""
    member = customers.add_member(
        customer=make_customer(), email="eve@evil.example", role="owner", now=NOON, actor="system"
    )
    client.force_login(member.user)
    for action in ("action_add", "action_primary"):
        given = {action: "", "email": "boss@victim.example"}
        assert client.post("/accounts/email/", given).status_code == 404
    assert client.get("/accounts/password/set/").headers["Location"] == "/accounts/password/reset/"
    assert (
        client.post("/accounts/password/set/", {"password1": "x" * 20, "password2": "x" * 20}).status_code
        == 302
    )
    member.user.refresh_from_db()
    assert (member.user.email, member.user.has_usable_password()) == ("eve@evil.example", False)


@pytest.mark.django_db
def test_a_key_that_is_taken_away_takes_its_links_and_visits_along(client, make_customer):
    key, _ = keys.issue(name="test", livemode=False, now=NOON)
    customer, now = make_customer(), timezone.now()
    addresses = [portal_links.issue(customer, now=now, actor=key.actor)[1] for _ in range(2)]
    used, unused = (address.partition("/portal/")[2] for address in addresses)
    assert client.post(f"/portal/{used}").status_code == 302
    assert client.get("/portal/").status_code == 200
    keys.revoke(key=key, now=now)
    assert client.get("/portal/").status_code == 403
    assert client.post(f"/portal/{unused}").status_code != 302


# -- Guesses and floods ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_promotion_codes_are_not_guessed(client, catalogue):
    from billing.models import Discount
    from tests.checkout.conftest import ANSWERS

    Discount.objects.create(code="HALF", percent_off=50, duration="once")
    session = sessions.start(plan="pro", interval="month", quantity=3, now=timezone.now(), livemode=False)

    def type_in(code):
        client.post(f"/checkout/{session.token}/", {**ANSWERS, "action": "update", "promotion_code": code})
        return CheckoutSession.objects.get().discount

    assert type_in("HALF") is not None
    assert type_in("WRONG") is None
    assert type_in("half") is not None
    Count.objects.update(times=20)
    assert type_in("AGAIN") is None
    assert type_in("HALF") is None


@pytest.mark.django_db
def test_a_form_sends_nobodys_words_to_strangers(client, catalogue):
    """The address is typed by whoever fills it in, and so is the rest."""
    given = {"name": "Win at http://evil.example/x", "email": "victim@other.example", "company": "www.evil.example",
             "employees": "5", "need": "Click https://evil.example/prize", "country": "DE"}  # fmt: skip
    assert client.post("/contact-sales/", given).status_code == 302
    sent = Mail.objects.get(recipient="victim@other.example")
    assert "evil" not in sent.subject + sent.text + sent.html


# -- Staff ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_every_act_of_every_screen_asks_for_its_permission(things):
    """By a raw POST of somebody who may look at everything and do nothing."""
    looking = [f"view_{model._meta.model_name}" for model in admin.site._registry]
    browser, asked = signed_in(*looking), 0
    for model, screen in admin.site._registry.items():
        row = model.objects.first() if isinstance(screen, Screen) else None
        for name, (permission, _) in screen.acts.items() if row else ():
            if permission:
                address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/{row.pk}/change/"
                assert browser.post(address, {"action": name}).status_code == 403, (address, name)
                asked += 1
    assert asked > 25


# -- The code's own habits ------------------------------------------------------------------------------------


def calls(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_no_query_is_built_of_what_was_sent():
    """No `extra`, no names of columns or lookups from a request; `raw` and `RawSQL` with texts that stand in the code."""
    for path in MODULES:
        for call in calls(ast.parse(path.read_text())):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            where = f"{path.relative_to(ROOT)}:{call.lineno}"
            assert name != "extra", where
            if name in ("raw", "RawSQL"):
                assert isinstance(call.args[0], ast.Constant | ast.Name), where
            if name in ("filter", "exclude", "get", "order_by", "values", "annotate"):
                loose = [ast.unparse(word.value) for word in call.keywords if word.arg is None]
                loose += [ast.unparse(each) for each in call.args] if name == "order_by" else []
                assert not [each for each in loose if "request" in each], where


SAFE = {
    "billing/templatetags/tandem.py": 1,  # an icon's own markup
}


def test_nothing_that_was_typed_is_called_safe():
    for path in MODULES:
        text = path.read_text()
        found = len(re.findall(r"\bmark_safe\(|\bSafeString\(", text))
        assert found <= SAFE.get(str(path.relative_to(ROOT)), 0), path
    for path in (ROOT / "templates").rglob("*.html"):
        assert not re.search(r"\|\s*safe\b|autoescape off", path.read_text()), path


def test_no_xml_of_others_is_read_and_no_file_is_stored():
    """The only parser reads what the renderer has just written; what is uploaded is read and dropped. A logo is drawn
    anew: nothing but pixels is kept of it."""
    readers, uploads = set(), set()
    for path in MODULES:
        text, name = path.read_text(), str(path.relative_to(ROOT))
        if re.search(r"^\s*(from|import) (xml|lxml|defusedxml)\b", text, re.M):
            readers.add(name)
        if re.search(r"\b(FileField|ImageField|FILES)\b", text):
            uploads.add(name)
        assert "MEDIA_ROOT" not in text, name
    assert readers == {"billing/papers/checking.py", "billing/papers/en16931.py"}
    assert uploads == {"billing/admin/catalogue.py", "sales/admin/importing.py", "config/styleguide.py"}


def test_buyers_pages_ask_for_rows_of_their_customer_only():
    """In the portal's views a table is read through the visit, or named here with the reason."""
    known = {"Seller", "Plan", "Price", "Meter", "Entitlement"}  # what is the same for everybody
    for path in sorted((ROOT / "portal" / "views").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ".objects." in (said := ast.unparse(node)):
                model = said.partition(".objects.")[0].rpartition(".")[2].split("(")[-1]
                scoped = re.search(
                    r"customer|visit|user=|OuterRef|prefix=|\bpk=chosen|digest=|pk__in|Quote.OUT|subscription",
                    said,
                )
                assert model in known or scoped, f"{path.relative_to(ROOT)}:{node.lineno}: {said[:120]}"


EVIL = (
    "a" * 50_000 + "!",
    "1," * 25_000,
    " " * 50_000 + "x",
    "-" * 50_000,
    "a." * 25_000 + "@",
    "[" * 50_000,
    "0" * 50_000,
)


def patterns():
    """(name, pattern, how it is used) of every one that a module keeps."""
    sources = "\n".join(path.read_text() for path in MODULES)
    for path in MODULES:
        if "management" in path.parts or path.name in ("gunicorn.py", "__main__.py"):
            continue
        module = import_module(
            ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        )
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield (
                    name,
                    value,
                    set(re.findall(rf"\b{name}\.(search|match|fullmatch|sub|findall)\(", sources)),
                )


def test_no_pattern_takes_long_over_anything():
    found = {pattern: (name, uses) for name, pattern, uses in patterns()}
    assert len(found) > 15
    for pattern, (name, uses) in found.items():
        for evil in EVIL:
            text = evil.encode() if isinstance(pattern.pattern, bytes) else evil
            for use in uses:
                began = time.process_time()
                pattern.sub(type(text)(), text) if use == "sub" else getattr(pattern, use)(text)
                assert time.process_time() - began < 0.1, (name, use, evil[:3])


def test_no_secret_stands_in_the_code():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    shapes = re.compile(
        r"\b(sk|rk|pk)_live_[0-9A-Za-z]{10,}|\bwhsec_[0-9A-Za-z+/]{24,}={0,2}|AKIA[0-9A-Z]{16}|BEGIN [A-Z ]*PRIVATE KEY"
        r"|\btk_(live|test)_[0-9A-Za-z]{40}|gh[pousr]_[0-9A-Za-z]{36}|xox[bap]-[0-9A-Za-z-]{20,}"
    )
    found = set()
    for name in listed.splitlines():
        path = ROOT / name
        if path.suffix not in (".png", ".ttf", ".otf", ".woff2", ".icc", ".pdf", ".gz") and path.is_file():
            found |= {
                f"{name}: {match[0][:14]}" for match in shapes.finditer(path.read_text(errors="ignore"))
            }
    assert {each for each in found if not each.endswith(STAND_INS)} == set()


# What says of itself that it is none: the sandbox's own, the example of the standard, a key of As.
STAND_INS = ("whsec_tandemsa", "whsec_MfKQ9r8G", "tk_live_AAAAAA")


def test_what_is_installed_has_its_known_holes_closed():
    wanted = {"django": (6, 1, 3), "weasyprint": (69,)}
    text = (ROOT / "requirements.txt").read_text()
    for name, least in wanted.items():
        version = re.search(rf"^{name}==([\d.]+)", text, re.M | re.I)
        assert version, name
        assert tuple(map(int, version[1].split("."))) >= least, version[0]


# -- Logs -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_logs_hold_no_secret_and_no_mail(client, catalogue, make_customer, fake_stripe, caplog):
    caplog.set_level(logging.INFO)
    for handler in logging.getLogger().handlers:
        handler.addFilter(Routes())
    _, secret = keys.issue(name="test", livemode=False, now=NOON)
    session = sessions.start(plan="pro", interval="month", quantity=3, now=timezone.now(), livemode=False)
    link = portal_links.issue(make_customer(), now=timezone.now(), actor="system")[1]
    token = link.rstrip("/").rpartition("/")[2]
    client.get("/api/v1/customers", headers={"Authorization": f"Bearer {secret}"})
    client.get("/api/v1/customers", headers={"Authorization": f"Bearer {secret}x", "X-Request-Id": "a\r\nb"})
    client.get(f"/checkout/{session.token}/")
    client.get(f"/portal/enter/{token}/")
    client.post(f"/portal/enter/{token}/")
    client.post("/accounts/login/", {"login": "canary@other.example", "password": "canary-password"})
    client.get(f"/quotes/{'0' * 32}.{token}/?q=%0d%0aforged")
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "checkout/(?P<token>" in said
    for hidden in (
        secret,
        secret[:20],
        session.token,
        token,
        "canary-password",
        "Bearer",
        client.cookies.output(),
    ):
        assert hidden not in said
    assert not [
        record for record in caplog.records if "\n" in record.getMessage() or "\r" in record.getMessage()
    ]
