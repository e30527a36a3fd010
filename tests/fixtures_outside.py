"""A receiver of webhooks on loopback, which answers as the path says; and the permission to call it."""

import socket
import threading
import time
from collections import defaultdict
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Receiver(BaseHTTPRequestHandler):
    """Answers as its path says: `/fine`, `/status/503`, … `server.seen` has (path, headers, body) in order."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, dict(self.headers), body))
        name, _, rest = self.path.strip("/").partition("?")[0].partition("/")
        getattr(self, name or "fine")(*filter(None, [rest]))

    def status(self, code):
        """With the server's `answer_headers`, and a short word."""
        self.send_response(int(code))
        for name, value in self.server.answer_headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"as you wish")

    def turn(self, name):
        """The server's `turns[name]` one after the other, the last for ever."""
        turns = self.server.turns[name]
        self.status(turns.pop(0) if len(turns) > 1 else turns[0])

    def fine(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"thank you")

    def moved(self):
        self.send_response(302)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()

    def drip(self):
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b".")
            time.sleep(0.05)

    def slow_head(self):
        for byte in b"HTTP/1.1 200 OK\r\n" * 1000:
            self.wfile.write(bytes([byte]))
            time.sleep(0.05)

    def endless(self):
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b"x" * 65536)

    def cut(self):
        self.connection.shutdown(socket.SHUT_RDWR)

    def nonsense(self):
        self.wfile.write(b"220 mail.example ESMTP\r\n")

    def log_message(self, *args):
        pass

    def handle(self):
        with suppress(OSError):
            super().handle()


@pytest.fixture
def receiver():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.seen, server.daemon_threads = [], True
    server.answer_headers, server.turns = {}, defaultdict(lambda: [200])
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def loopback(settings):
    settings.OUTSIDE_NETWORKS = ["127.0.0.0/8"]
