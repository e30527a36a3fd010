"""F07, F08, F12, F40: the database crashes, is gone for a while, takes nobody in, is slow, while a real web server and a
real job worker are at work. Clients ask for pages, send usage and webhooks, and repeat what was not answered."""

import contextlib
import http.client
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from tests.faults import clusters, judging, world
from tests.faults.kills import Report
from tests.faults.stops import ROOT, ask_for_a_run, due, until

# How soon everything works again, in seconds, once the database does.
BACK_IN_TIME = 5.0
PAGES = ("/pricing/", "/portal/", "/accounts/login/", "/admin/", "/checkout/nowhere/", "/healthz")


def run(
    *,
    seed: int,
    crashes: int = 10,
    gone: float = 20.0,
    full: float = 5.0,
    slow: float = 10.0,
    delay: float = 0.3,
    soon: float = BACK_IN_TIME,
) -> Report:
    """crashes: how many. gone, full, slow: for how many seconds; slow is by `delay` seconds for each thing said. soon:
    how many seconds everything may take to work again."""
    started, report = time.monotonic(), Report("database out of order", seed)
    report.found = {
        "answers": [],
        "late to come back": [],
        "lost": [],
        "twice": [],
        "not billed": [],
        "books": [],
    }
    with clusters.cluster() as server, tempfile.TemporaryDirectory() as folder:
        clusters.copied(server)
        with clusters.at(server.socket), Line(server.socket, Path(folder), Random(seed)) as line:
            this = Outages(server, line, report, Random(seed), soon)
            this.begins()
            with this.web(folder), this.worker(folder):
                with this.clients():
                    this.lives_through(crashes, gone, full, slow, delay)
                this.bills_again()
            this.judge()
    report.seconds = time.monotonic() - started
    return report


class Outages:
    def __init__(
        self, server: clusters.Cluster, line: "Line", report: Report, dice: Random, soon: float
    ) -> None:
        self.server, self.line, self.report, self.dice, self.soon = server, line, report, dice, soon
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.secret = self.cookie = self.customer = ""
        self.taken: Counter[str] = Counter()
        self.asked: list[str] = []

    # -- what there is --
    def begins(self) -> None:
        from django.test import Client
        from django.utils import timezone

        from billing import keys
        from billing.models import User
        from checkout import catalogue as checkout
        from sales import catalogue as sales

        world.make(world.Clock(timezone.now() - timedelta(days=400)), self.dice, customers=0)
        sales.ship(now=timezone.now())
        checkout.ship(now=timezone.now())
        for _ in range(12):
            row = world.on_account(timezone.now() - timedelta(days=self.dice.randint(200, 400)), self.dice)
        self.customer = row.customer_id
        self.secret = keys.issue(name="it", livemode=False, now=timezone.now())[1]
        staff = Client()
        user = User.objects.create_superuser("staff@seller.example", "correct horse battery", name="Staff")
        staff.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        self.cookie = f"sessionid={staff.cookies['sessionid'].value}"

    def web(self, folder: str) -> "contextlib.AbstractContextManager[Any]":
        return process("web", folder, self.line.url, "gunicorn", "--config", "config/gunicorn.py", "config.wsgi",
                       BIND=f"127.0.0.1:{self.port}", WEB_WORKERS="1")  # fmt: skip

    def worker(self, folder: str) -> "contextlib.AbstractContextManager[Any]":
        return process("worker", folder, self.line.url, "manage", "qcluster", WORKERS="1")

    # -- what goes wrong --
    def lives_through(self, crashes: int, gone: float, full: float, slow: float, delay: float) -> None:
        until(self.is_well)
        self.worker_begins()
        ask_for_a_run()
        for _ in range(crashes):
            time.sleep(self.dice.uniform(0.1, 0.6))
            self.server.crash()
            self.report.kills += 1
            self.comes_back(self.server.start)
        self.server.crash()
        time.sleep(gone)
        self.comes_back(self.server.start)
        with self.nobody_else_let_in():
            time.sleep(full)
            self.report.counts["well while full"] += self.is_well()
        self.comes_back()
        with self.line.slowly(delay, 0.01):
            time.sleep(slow)
        self.comes_back()

    def worker_begins(self) -> None:
        """One that is only starting ends without a database, and who looks after it starts it again: not asked here."""
        from django_q.models import Task
        from django_q.tasks import async_task

        mine = async_task("django.utils.timezone.now")
        until(Task.objects.filter(id=mine).exists)

    def comes_back(self, repair: Callable[[], None] = lambda: None) -> None:
        repair()
        began = time.monotonic()
        until(self.is_well)
        taken = time.monotonic() - began
        if taken > self.soon:
            self.report.found["late to come back"].append(f"{taken:.1f} s")

    @contextlib.contextmanager
    def nobody_else_let_in(self) -> Iterator[None]:
        """Every place for a session is taken by somebody else."""
        import psycopg

        held: list[Any] = []
        address = f"host={self.server.socket} user=tandem dbname=tandem"
        keep = "pid <> pg_backend_pid() and application_name <> 'taken' and backend_type = 'client backend'"
        with psycopg.connect(f"{address} application_name=taken", autocommit=True) as first:
            for _ in range(3):
                with contextlib.suppress(psycopg.OperationalError):
                    while True:
                        held.append(psycopg.connect(f"{address} application_name=taken"))
                first.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where {keep}".encode())
            try:
                yield
            finally:
                for one in held:
                    one.close()

    def bills_again(self) -> None:
        """The worker that was there all the time does what is asked of it."""
        from django.db import connection

        connection.close()
        ask_for_a_run()
        try:
            until(lambda: not due())
        except TimeoutError:
            self.report.found["not billed"].append(f"{due()} are still due")

    # -- who asks --
    @contextlib.contextmanager
    def clients(self) -> Iterator[None]:
        self.over = threading.Event()
        acts = (self.sends_usage, self.makes_a_customer, self.sends_a_webhook, self.looks, self.looks)
        threads = [threading.Thread(target=self.again_and_again, args=(act, n)) for n, act in enumerate(acts)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.over.set()
            for thread in threads:
                thread.join(60)

    def again_and_again(self, act: Callable[[str], bool], who: int) -> None:
        """One thing after another, each until it is taken; the last ones too."""
        until(self.is_well)
        number = 0
        while not self.over.is_set():
            name, number = f"{who}-{number}", number + 1
            self.asked.append(name)
            while not act(name) and not self.over.is_set():
                time.sleep(0.05)
            time.sleep(0.2)  # more than a slow worker keeps up with would only lengthen its queue

    def sends_usage(self, name: str) -> bool:
        from django.utils import timezone

        event = {"id": f"u-{name}", "customer": self.customer, "event_name": "api_call",
                 "timestamp": timezone.now().isoformat(), "properties": {"value": "1"}}  # fmt: skip
        return self.noted("usage", name, self.api("usage_events", {"events": [event]}, ""))

    def makes_a_customer(self, name: str) -> bool:
        status = self.api("customers", {"name": name, "email": f"it@{name}.example"}, f"k-{name}")
        return self.noted("customer", name, status)

    def sends_a_webhook(self, name: str) -> bool:
        from django.conf import settings

        from billing.fakestripe import sign

        event = {"id": f"evt_{name}", "object": "event", "type": "invoice.created", "livemode": False,
                 "created": int(time.time()), "data": {"object": {"id": f"in_{name}", "object": "invoice"}}}  # fmt: skip
        body = json.dumps(event).encode()
        signature = sign(body, settings.STRIPE_WEBHOOK_SECRET, int(time.time()))
        headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
        return self.noted("webhook", name, self.ask("POST", "/webhooks/stripe/", body, headers))

    def looks(self, name: str) -> bool:
        """At a page, as a stranger and as staff."""
        path = PAGES[int(name.split("-")[1]) % len(PAGES)]
        self.ask("GET", path, None, {"Cookie": self.cookie} if path == "/admin/" else {})
        return True

    def noted(self, what: str, name: str, status: int) -> bool:
        if 200 <= status < 300:
            self.taken[f"{what} {name}"] += 1
        return 200 <= status < 300

    def api(self, path: str, body: dict[str, Any], key: str) -> int:
        headers = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"}
        headers |= {"Idempotency-Key": key} if key else {}
        return self.ask("POST", f"/api/v1/{path}", json.dumps(body).encode(), headers)

    def ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> int:
        """The status; 0 without an answer. What nobody should be told goes to the findings."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            line.request(method, path, body, headers)
            answer = line.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.report.found["answers"].append(f"{path}: {error!r}")
            return 0
        finally:
            line.close()
        self.report.counts[f"{answer.status}"] += 1
        if wrong := unkind(path, answer, text):
            self.report.found["answers"].append(wrong)
        return answer.status

    def is_well(self) -> bool:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.suppress(OSError, http.client.HTTPException):
            line.request("GET", "/healthz")
            return line.getresponse().status == 200
        return False

    # -- afterwards --
    def judge(self) -> None:
        from billing.models import Customer, ProviderEvent, UsageEvent

        there = Counter(
            f"usage {key.removeprefix('u-')}" for key in UsageEvent.objects.values_list("key", flat=True)
        )
        there += Counter(f"customer {name}" for name in Customer.objects.values_list("name", flat=True))
        there += Counter(
            f"webhook {key.removeprefix('evt_')}"
            for key in ProviderEvent.objects.values_list("provider_id", flat=True)
        )
        self.report.found["lost"] += [name for name in self.taken if not there[name]]
        self.report.found["twice"] += [name for name in self.taken if there[name] > 1 or self.taken[name] > 1]
        self.report.found["books"] += judging.broken_books()
        self.report.counts["taken"] = len(self.taken)


def unkind(path: str, answer: http.client.HTTPResponse, text: bytes) -> str:
    """What is wrong with an answer; nothing with one that was carried out, refused, or asks to come again."""
    said = f"{answer.status} of {path}: {text[:120]!r}"
    if answer.status < 500:
        return ""
    if answer.status != 503 or not answer.headers["Retry-After"]:
        return said
    kind = answer.headers["Content-Type"]
    if path.startswith("/api/"):
        return "" if kind == "application/problem+json" else said
    return "" if path == "/healthz" or b"One moment" in text else said


@contextlib.contextmanager
def process(name: str, folder: str, url: str, *command: str, **environment: str) -> Iterator[None]:
    """A part of Tandem as an operator starts it, with nothing to put it right while it runs."""
    module = ["manage.py", *command[1:]] if command[0] == "manage" else ["-m", *command]
    given = {**os.environ, "DATABASE_URL": url, "TANDEM_HOME": folder, "LOG_LEVEL": "CRITICAL", **environment}
    with (Path(folder) / f"{name}.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, *module], cwd=ROOT, env=given, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
        if child.poll() is not None:
            raise RuntimeError(f"{name} ended by itself with {child.returncode}")
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


# -- The line -------------------------------------------------------------------------------------------------


class Line:
    """What lies between Tandem and its database: a socket in a folder of its own, which can be slow and can break."""

    def __init__(self, server: Path, folder: Path, dice: Random) -> None:
        self.server, self.dice, self.delay, self.breaks = server / ".s.PGSQL.5432", dice, 0.0, 0.0
        self.folder = folder / "line"
        self.folder.mkdir()

    @property
    def url(self) -> str:
        return f"postgres://tandem@/tandem?host={self.folder}"

    def __enter__(self) -> "Line":
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(str(self.folder / ".s.PGSQL.5432"))
        self.door.listen(128)
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.door.close()

    @contextlib.contextmanager
    def slowly(self, delay: float, breaks: float) -> Iterator[None]:
        """delay: seconds for each thing that is said. breaks: how likely the line is cut then."""
        self.delay, self.breaks = delay, breaks
        try:
            yield
        finally:
            self.delay = self.breaks = 0.0

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.carry, args=(self.door.accept()[0],), daemon=True).start()

    def carry(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        with client, server, contextlib.suppress(OSError), selectors.DefaultSelector() as both:
            server.connect(str(self.server))
            both.register(client, selectors.EVENT_READ, (server, True))
            both.register(server, selectors.EVENT_READ, (client, False))
            while all(self.passed_on(key.fileobj, *key.data) for key, _ in both.select()):
                pass

    def passed_on(self, by: Any, to: socket.socket, asked: bool) -> bool:
        """False when the line ends here. It is slow one way, and cut either way."""
        data = by.recv(65536)
        time.sleep(self.delay if asked else 0)
        if not data or self.dice.random() < self.breaks:
            return False
        to.sendall(data)
        return True
