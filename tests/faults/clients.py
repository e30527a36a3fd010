"""Whoever comes by HTTP while something goes wrong: a real web server, and clients that ask for pages, send usage and
webhooks, make customers, and repeat what was not answered. What was taken must be there afterwards, once."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from tests.faults import judging, world
from tests.faults.kills import Report
from tests.faults.stops import ROOT, ask_for_a_run, due, until

PAGES = ("/pricing/", "/portal/", "/accounts/login/", "/admin/", "/checkout/nowhere/", "/healthz")


class Clients:
    """Findings go to `report`. url: of the database, for the web server. soon: how many seconds everything may take to
    work again."""

    def __init__(self, url: str, report: Report, dice: Random, soon: float) -> None:
        self.url, self.report, self.dice, self.soon = url, report, dice, soon
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.secret = self.cookie = self.customer = ""
        self.taken: Counter[str] = Counter()
        self.asked: list[str] = []
        self.named = ""

    def begins(self) -> None:
        """What there is: a seller, plans, and customers who are months behind."""
        from django.utils import timezone

        from checkout import catalogue as checkout
        from sales import catalogue as sales

        world.make(world.Clock(timezone.now() - timedelta(days=400)), self.dice, customers=0)
        sales.ship(now=timezone.now())
        checkout.ship(now=timezone.now())
        for _ in range(12):
            row = world.on_account(timezone.now() - timedelta(days=self.dice.randint(200, 400)), self.dice)
        self.lets_in(row.customer_id)

    def lets_in(self, customer: str) -> None:
        """Clients may ask: about the customer with this id, and as staff."""
        from django.test import Client
        from django.utils import timezone

        from billing import keys
        from billing.models import User

        self.customer = customer
        self.secret = keys.issue(name="it", livemode=False, now=timezone.now())[1]
        staff = Client()
        user = User.objects.create_superuser("staff@seller.example", "correct horse battery", name="Staff")
        staff.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        self.cookie = f"sessionid={staff.cookies['sessionid'].value}"

    def web(
        self, folder: str, *, root: Path = ROOT, name: str = "web", **settings: str
    ) -> "contextlib.AbstractContextManager[Any]":
        given = {"BIND": f"127.0.0.1:{self.port}", "WEB_WORKERS": "1", **settings}
        return process(
            name,
            folder,
            self.url,
            "gunicorn",
            "--config",
            "config/gunicorn.py",
            "config.wsgi",
            root=root,
            **given,
        )

    def worker(
        self, folder: str, *, root: Path = ROOT, name: str = "worker"
    ) -> "contextlib.AbstractContextManager[Any]":
        return process(name, folder, self.url, "manage", "qcluster", root=root, WORKERS="1")

    def worker_begins(self) -> None:
        """One that is only starting ends without a database, and who looks after it starts it again: not asked here."""
        from django_q.models import Task
        from django_q.tasks import async_task

        mine = async_task("django.utils.timezone.now")
        until(Task.objects.filter(id=mine).exists)

    def bills_again(self) -> None:
        """The worker that was there all the time does what is asked of it."""
        from django.db import connection

        connection.close()
        ask_for_a_run()
        try:
            until(lambda: not due())
        except TimeoutError:
            self.report.found["not billed"].append(f"{due()} are still due")

    def comes_back(self, repair: Callable[[], None] = lambda: None) -> None:
        repair()
        began = time.monotonic()
        until(self.is_well)
        taken = time.monotonic() - began
        if taken > self.soon:
            self.report.found["late to come back"].append(f"{taken:.1f} s")

    # -- who asks --
    @contextlib.contextmanager
    def clients(self, times: int = 1) -> Iterator[None]:
        """Five of them, so many times."""
        self.over = threading.Event()
        acts = [self.sends_usage, self.makes_a_customer, self.sends_a_webhook, self.looks, self.looks] * times
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
            name, number = f"{self.named}{who}-{number}", number + 1
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

        event = {"id": f"evt_{name}", "object": "event", "type": "told.by_nobody", "livemode": False,
                 "created": int(time.time()), "data": {"object": {"id": f"in_{name}", "object": "invoice"}}}  # fmt: skip
        body = json.dumps(event).encode()
        signature = sign(body, settings.STRIPE_WEBHOOK_SECRET, int(time.time()))
        headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
        return self.noted("webhook", name, self.ask("POST", "/webhooks/stripe/", body, headers))

    def looks(self, name: str) -> bool:
        """At a page, as a stranger and as staff."""
        path = PAGES[int(name.split("-")[-1]) % len(PAGES)]
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
def process(
    name: str, folder: str, url: str, *command: str, root: Path = ROOT, **environment: str
) -> Iterator[None]:
    """A part of Tandem as an operator starts it, with nothing to put it right while it runs. root: of its code."""
    module = ["manage.py", *command[1:]] if command[0] == "manage" else ["-m", *command]
    given = {**os.environ, "DATABASE_URL": url, "TANDEM_HOME": folder, "LOG_LEVEL": "CRITICAL", **environment}
    with (Path(folder) / f"{name}.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, *module], cwd=root, env=given, stdout=log, stderr=log, start_new_session=True
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
