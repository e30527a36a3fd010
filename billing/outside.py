"""The one door to addresses that somebody typed. Nothing else in Tandem opens one.

A name is resolved once, every address it leads to must be an ordinary public one, and the connection goes to that
very address, so a name that answers differently a moment later (rebinding) gains nothing. No redirects, no proxy
from the environment, a time limit over everything, and a limit on what is read.

`OUTSIDE_NETWORKS` names the networks that the operator allows beside (loopback, the company's own); what is in one
of them may use any port and plain http.
"""

import http.client
import ipaddress
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from billing.refusals import Refused

SECONDS = 15.0
MOST_READ = 64 * 1024
LONGEST_URL = 500
# Of the addresses that a name has, so many are tried.
MOST_ADDRESSES = 3

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class InvalidUrl(Refused):
    """Not an address of the web that can be called."""

    code = "invalid_url"


class ForbiddenAddress(Refused):
    """It leads to a network that nobody outside may have us call."""

    code = "address_not_allowed"


class Unreachable(Exception):
    """No whole answer came; the message says why, and is fit to be shown."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads. `host` is ASCII, lower case; `path` has its query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def netloc(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"https": 443, "http": 80}[self.scheme]
        return name if self.port == usual else f"{name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `body` is at most 64 KiB; `milliseconds` for all of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    milliseconds: int


# -- What may be called ---------------------------------------------------------------------------------

# `is_global` lets through multicast, translated and tunnelled addresses that end at an IPv4 address of one's choice.
_PLAIN_IPV6 = ipaddress.IPv6Network("2000::/3")
_NOT_PLAIN = [
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "100.64.0.0/10", "224.0.0.0/3",
        "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    )
]  # fmt: skip


def ordinary(address: Address) -> bool:
    """A public address of one machine, written in no roundabout way."""
    if address.version == 6 and address not in _PLAIN_IPV6:
        return False
    if any(address in network for network in _NOT_PLAIN if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def allowed_beside(address: Address) -> bool:
    """In a network of the operator's own choice."""
    networks = _networks(tuple(settings.OUTSIDE_NETWORKS))
    return any(address in network for network in networks if network.version == address.version)


@cache
def _networks(given: tuple[str, ...]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(text.strip()) for text in given]


def _refuse(target: Target, address: Address, field: str) -> None:
    """Raises ForbiddenAddress, InvalidUrl for a port or scheme that only the operator's networks may have."""
    if allowed_beside(address):
        return
    if not ordinary(address):
        raise ForbiddenAddress("This leads to an address that is not public.", field=field)
    _refuse_manner(target, field)


def _refuse_manner(target: Target, field: str) -> None:
    if target.scheme != "https":
        raise InvalidUrl("The address must begin with https://.", field=field)
    if target.port not in settings.OUTSIDE_PORTS:
        ports = " or ".join(str(port) for port in settings.OUTSIDE_PORTS)
        raise InvalidUrl(f"The port must be {ports}.", field=field)


# -- Reading a URL --------------------------------------------------------------------------------------

_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?\.?", re.ASCII)
_PATH = re.compile(r"[!-~]*", re.ASCII)


def parse(url: Any, field: str = "url") -> Target:
    """The parts of an http(s) URL. Raises InvalidUrl for everything that is read differently here and there."""
    if not isinstance(url, str) or not url or len(url) > LONGEST_URL:
        raise InvalidUrl(f"Give an address of at most {LONGEST_URL} characters.", field=field)
    if any(c.isspace() or c in '\\<>"`{}|^' or not c.isprintable() for c in url):
        raise InvalidUrl("An address has no spaces or control characters.", field=field)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidUrl("This is not an address.", field=field) from None
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise InvalidUrl("Give an address such as https://example.com/page.", field=field)
    if "@" in parts.netloc or "#" in url:
        raise InvalidUrl("An address has no user, password or fragment.", field=field)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _PATH.fullmatch(path):
        raise InvalidUrl("Write other letters of the path as %xx.", field=field)
    return Target(parts.scheme, _host(parts.hostname, field), port or _usual(parts.scheme), path)


def page(url: Any, field: str = "url") -> str:
    """An https page that people open in their own browser, as it was given; nothing here calls it. Raises InvalidUrl."""
    if not str(url).startswith("https://"):
        raise InvalidUrl("The address must begin with https://.", field=field)
    parse(url, field)
    return str(url)


def _usual(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _host(name: str, field: str) -> str:
    """In ASCII; what only looks like digits becomes digits here, as it would in a resolver."""
    if ":" in name:
        return _literal(name, field)
    try:
        host = name.encode("idna").decode().lower()
    except UnicodeError:
        host = ""
    if not _HOST.fullmatch(host) or len(host) > 253:
        raise InvalidUrl("This host name is not valid.", field=field)
    return host.rstrip(".")


def _literal(name: str, field: str) -> str:
    try:
        return ipaddress.IPv6Address(name.partition("%")[0]).compressed
    except ValueError:
        raise InvalidUrl("This host name is not valid.", field=field) from None


def check(url: Any, field: str = "url", *, seconds: float = 3.0) -> str:
    """A URL fit to be stored, as it was given. Raises InvalidUrl, ForbiddenAddress.

    A name that leads nowhere today is let through: what counts is where it leads when it is called.
    """
    target = parse(url, field)
    if target.host == "localhost" or target.host.endswith(".localhost"):
        _refuse(target, ipaddress.ip_address("127.0.0.1"), field)
    elif not settings.OUTSIDE_NETWORKS:
        _refuse_manner(target, field)
    try:
        found = resolve(target, seconds)
    except Unreachable:
        return str(url)
    for address, _ in found:
        _refuse(target, address, field)
    return str(url)


# -- Resolving ------------------------------------------------------------------------------------------

type Found = list[tuple[Address, tuple[Any, ...]]]


def resolve(target: Target, seconds: float) -> Found:
    """(address, where to connect) for every address of the host. Raises Unreachable."""
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(target, answers), daemon=True).start()
    try:
        found = answers.get(timeout=max(seconds, 0.01))
    except queue.Empty:
        raise Unreachable("The host name could not be resolved in time.") from None
    if isinstance(found, Exception):
        raise Unreachable("The host name could not be resolved.")
    return [(_address(place), place) for place in found]


def _ask(target: Target, answers: "queue.SimpleQueue[Any]") -> None:
    """The system's resolver has no time limit of its own, so it is asked in a thread that may be left behind."""
    try:
        rows = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        answers.put(list(dict.fromkeys(row[4] for row in rows)))
    except (OSError, UnicodeError) as error:
        answers.put(error)


def _address(place: tuple[Any, ...]) -> Address:
    return ipaddress.ip_address(str(place[0]).partition("%")[0])


# -- Calling --------------------------------------------------------------------------------------------


def post(
    url: str, *, body: bytes, headers: Mapping[str, str], seconds: float = SECONDS, most: int = MOST_READ
) -> Answer:
    """Send `body` and read the answer. Raises InvalidUrl, ForbiddenAddress, Unreachable."""
    started = time.monotonic()
    target = parse(url)
    places = resolve(target, seconds)
    for address, _ in places:
        _refuse(target, address, "url")
    call = _Call(target, [place for _, place in places[:MOST_ADDRESSES]], started + seconds)
    status, answered, read = call.post(body, headers, most)
    return Answer(status, answered, read, round((time.monotonic() - started) * 1000))


class _Call(http.client.HTTPConnection):
    """A connection to a place that was looked at before. A watchdog ends it, however slowly bytes drip in."""

    def __init__(self, target: Target, places: list[tuple[Any, ...]], deadline: float) -> None:
        super().__init__(target.host, target.port)
        self.aim, self.places, self.deadline = target, places, deadline
        self.late = threading.Event()
        # `self.sock` is gone as soon as the head of an answer was read; this one stays.
        self.wire: socket.socket | None = None

    @property
    def left(self) -> float:
        return max(self.deadline - time.monotonic(), 0.01)

    def connect(self) -> None:
        error: OSError = OSError("it has no address")
        for place in self.places:
            self.sock = self.wire = socket.socket(socket.AF_INET6 if ":" in place[0] else socket.AF_INET)
            try:
                self.sock.settimeout(self.left)
                self.sock.connect(place)
                break
            except OSError as refused:
                self.sock.close()
                error = refused
        else:
            raise error
        if self.aim.scheme == "https":
            self._encrypt()

    def _encrypt(self) -> None:
        self.sock = self.wire = tls().wrap_socket(
            self.sock, server_hostname=self.aim.host, do_handshake_on_connect=False
        )
        self.sock.do_handshake()

    def post(self, body: bytes, headers: Mapping[str, str], most: int) -> tuple[int, dict[str, str], bytes]:
        watchdog = threading.Timer(self.left, self._end)
        watchdog.daemon = True
        watchdog.start()
        try:
            self.request(
                "POST", self.aim.path, body, {**headers, "Host": self.aim.netloc, "Connection": "close"}
            )
            response = self.getresponse()
            read = response.read(most)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(self._words(error)) from None
        finally:
            watchdog.cancel()
            self.close()
        if self.late.is_set():
            raise Unreachable(self._words(TimeoutError()))
        return response.status, {name.lower(): value for name, value in response.getheaders()}, read

    def _end(self) -> None:
        self.late.set()
        if self.wire is not None:
            with suppress(OSError):
                self.wire.shutdown(socket.SHUT_RDWR)

    def _words(self, error: Exception) -> str:
        if self.late.is_set() or isinstance(error, TimeoutError):
            return "There was no whole answer in time."
        if isinstance(error, ssl.SSLError):
            return f"The connection could not be secured: {error.reason or error}."[:200]
        if isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError):
            return "What answered does not speak HTTP."
        return f"No connection: {error.strerror or 'it was cut'}."[:200]  # type: ignore[attr-defined]


@cache
def tls() -> ssl.SSLContext:
    return ssl.create_default_context()
