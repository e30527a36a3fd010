"""The stand-in for Stripe behind a socket, in a process that nobody kills. Its list is the other side's truth."""

import json
import socket
import struct
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.faults import processes

KEY = "sk_test_" + "f" * 24
# How long a worker waits for an answer that never comes; and who asks while nothing goes wrong, on a busy machine.
PATIENCE, PATIENT = (1.0, 0.4), (30.0, 30.0)


class _Unmoved(BaseHTTPRequestHandler):
    """Says nothing of a client that dies in the middle of a request."""

    def handle(self) -> None:
        with suppress(OSError, ValueError):
            super().handle()

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()

    def log_message(self, *args: Any) -> None:
        pass


class _Door(_Unmoved):
    """`/v1/…` is the provider; `/told` is for the harness: GET its list, POST the faults to come."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        if self.path == "/told":
            return self._answer(200, json.dumps(self.server.fake.rows("charge")))
        return self._call()

    def do_DELETE(self) -> None:
        self._call()

    def do_POST(self) -> None:
        if self.path == "/told":
            self.server.fake.faults.clear()
            for fault in json.loads(self._body()):
                self.server.fake.faults.add(**fault)
            return self._answer(200, "{}")
        return self._call()

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _call(self) -> None:
        answer = self.server.fake.handle(self.command, self.path, dict(self.headers), self._body())
        if answer.broken == "time_out":
            time.sleep(PATIENCE[1] * 2)
        if answer.broken in ("time_out", "reset"):
            return self._reset()
        if answer.broken == "half":
            return self._half(answer)
        return self._answer(answer.status, answer.body, answer.headers)

    def _answer(self, status: int, body: str, headers: Any = ()) -> None:
        data = body.encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _half(self, answer: Any) -> None:
        data = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])
        self._reset()

    def _reset(self) -> None:
        """The other side gets RST, not an end."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class Provider:
    """What the harness and the workers know of it: an address."""

    def __init__(self, url: str) -> None:
        self.url = url

    def gateway(self, patience: tuple[float, float] = PATIENCE) -> Any:
        """A gateway of this process; made after the fork, so that no connection is shared."""
        import stripe

        from billing.gateway import Gateway, client

        return Gateway(client(stripe.RequestsClient(timeout=patience), KEY, self.url))

    def charges(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.url}/told", timeout=30) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return found

    def faults(self, *faults: dict[str, Any]) -> None:
        """What goes wrong from now on; nothing, without any."""
        request = urllib.request.Request(f"{self.url}/told", json.dumps(faults).encode())
        urllib.request.urlopen(request, timeout=30).close()


@contextmanager
def provider() -> Iterator[Provider]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Door)
    server.daemon_threads = True
    server.request_queue_size = 128

    def serve() -> None:
        from billing.fakestripe import FakeStripe, MemoryStore

        server.fake = FakeStripe(MemoryStore())  # type: ignore[attr-defined]
        server.serve_forever()

    with processes.running(serve):
        server.socket.close()  # the child's own stays open
        yield Provider(f"http://127.0.0.1:{server.server_port}")


# -- The receiver of webhooks -----------------------------------------------------------------------------


class _Ears(_Unmoved):
    """Takes most of what it gets, refuses some, and remembers all that it took, in order."""

    server: Any

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        told = json.loads(body)["data"]
        with self.server.lock:
            self.server.asked += 1
            refuse = self.server.asked % 7 == 0
            if not refuse:
                row = [self.headers["webhook-id"], told["object"], told["sequence"]]
                self.server.heard.append(row)
        self.send_response(503 if refuse else 200)
        self.send_header("Retry-After", "0")
        self.end_headers()

    def do_GET(self) -> None:
        with self.server.lock:
            data = json.dumps(self.server.heard).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(data)


class Receiver:
    def __init__(self, url: str) -> None:
        self.url = url

    def heard(self) -> list[tuple[str, str, int]]:
        """(webhook-id, object, sequence) of everything it took, in order."""
        with urllib.request.urlopen(self.url, timeout=30) as answer:
            return [tuple(row) for row in json.load(answer)]


@contextmanager
def receiver() -> Iterator[Receiver]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Ears)
    server.daemon_threads = True

    def serve() -> None:
        server.lock, server.heard, server.asked = threading.Lock(), [], 0  # type: ignore[attr-defined]
        server.serve_forever()

    with processes.running(serve):
        server.socket.close()
        yield Receiver(f"http://127.0.0.1:{server.server_port}/")
