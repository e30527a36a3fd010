"""The door to addresses that somebody typed: what it refuses, and that it cannot be held open."""

import ipaddress
import socket
import ssl
import threading
import time

import pytest

from billing import outside
from billing.refusals import Refused

PUBLIC = "93.184.215.14"
RESOLVER = socket.getaddrinfo


def names(monkeypatch, *answers):
    """Each look-up of a name takes the next of these answers (lists of addresses), the last one for ever."""
    waiting = list(answers)

    def look_up(host, port, *args, **options):
        found = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return [row for one in found for row in RESOLVER(one, port, *args, **options)]

    monkeypatch.setattr(outside.socket, "getaddrinfo", look_up)


def post(url, **options):
    return outside.post(url, body=b"{}", headers={"Content-Type": "application/json"}, **options)


# -- What is an ordinary address --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    """127.0.0.1 127.255.255.254 0.0.0.0 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 169.254.169.254
    192.0.0.8 192.0.2.1 198.18.0.1 198.51.100.7 203.0.113.9 192.88.99.1 224.0.0.1 239.255.255.255 240.0.0.1
    255.255.255.255 ::1 :: ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b::808:808
    64:ff9b:1::1 2002:7f00:1:: 2002:808:808:: 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:db8::1 fe80::1
    fc00::1 fd00:ec2::254 ff02::1 100::1 3fff::1 5f00::1 fec0::1""".split(),
)
def test_it_is_not_ordinary(text):
    assert not outside.ordinary(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text", ["8.8.8.8", PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:80f::200e"]
)
def test_it_is_ordinary(text):
    assert outside.ordinary(ipaddress.ip_address(text))


# -- What may be stored -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1/", "address_not_allowed"),
        ("https://127.0.0.1/", "address_not_allowed"),
        ("https://[::1]/", "address_not_allowed"),
        ("https://[::ffff:127.0.0.1]/", "address_not_allowed"),
        ("https://[fe80::1%25lo]/", "address_not_allowed"),
        ("https://localhost/", "address_not_allowed"),
        ("https://db.localhost/", "address_not_allowed"),
        ("https://10.0.0.1/", "address_not_allowed"),
        ("https://100.64.0.1/", "address_not_allowed"),
        ("https://2130706433/", "address_not_allowed"),
        ("https://0x7f000001/", "address_not_allowed"),
        ("https://0177.0.0.1/", "address_not_allowed"),
        ("https://127.1/", "address_not_allowed"),
        ("https://0/", "address_not_allowed"),
        ("https://①②⑦.⓪.⓪.①/", "address_not_allowed"),
        ("https://127。0。0。1/", "address_not_allowed"),
        ("http://8.8.8.8/", "invalid_url"),
        ("https://8.8.8.8:22/", "invalid_url"),
        ("https://8.8.8.8:5432/", "invalid_url"),
        ("https://8.8.8.8:0/", "invalid_url"),
        ("https://8.8.8.8:99999/", "invalid_url"),
        ("https://u:p@8.8.8.8/", "invalid_url"),
        ("https://ok.example@127.0.0.1/", "invalid_url"),
        ("https://8.8.8.8/#there", "invalid_url"),
        ("https://8.8.8.8/a b", "invalid_url"),
        ("https://8.8.8.8/\r\nHost: evil", "invalid_url"),
        ("https://8.8.8.8\\@127.0.0.1/", "invalid_url"),
        ("https://[::1", "invalid_url"),
        ("https://[v1.x:y]/", "invalid_url"),
        ("https:///hooks", "invalid_url"),
        ("https://ex%61mple.com/", "invalid_url"),
        ("https://-bad-.example/", "invalid_url"),
        ("file:///etc/passwd", "invalid_url"),
        ("gopher://x", "invalid_url"),
        ("ftp://x", "invalid_url"),
        ("javascript:alert(1)", "invalid_url"),
        ("//8.8.8.8/", "invalid_url"),
        ("", "invalid_url"),
        (None, "invalid_url"),
        (7, "invalid_url"),
        ("https://8.8.8.8/" + "x" * 500, "invalid_url"),
    ],
)
def test_it_refuses_to_store(url, code):
    with pytest.raises(Refused) as refused:
        outside.check(url)
    assert refused.value.code in (code, "invalid_url")
    assert refused.value.field == "url"


def test_it_stores_what_leads_out(monkeypatch):
    names(monkeypatch, [PUBLIC])
    for url in ("https://hooks.example/a?b=1", "https://hooks.example:8443/", "https://bücher.example/"):
        assert outside.check(url) == url


def test_it_refuses_a_name_that_leads_inside_today(monkeypatch):
    names(monkeypatch, [PUBLIC, "10.0.0.1"])
    with pytest.raises(outside.ForbiddenAddress):
        outside.check("https://hooks.example/")


def test_it_lets_a_name_through_that_leads_nowhere_today(monkeypatch):
    def nowhere(*args, **options):
        raise socket.gaierror("no such name")

    monkeypatch.setattr(outside.socket, "getaddrinfo", nowhere)
    assert outside.check("https://soon.example/")


def test_it_does_not_wait_for_a_resolver_that_hangs(monkeypatch):
    let_go = threading.Event()
    monkeypatch.setattr(outside.socket, "getaddrinfo", lambda *args, **options: [let_go.wait(120)][:0])
    started = time.monotonic()
    assert outside.check("https://slow.example/", seconds=0.2)
    assert time.monotonic() - started < 60
    let_go.set()


def test_it_allows_the_operators_own_networks(settings, monkeypatch):
    settings.OUTSIDE_NETWORKS = ["10.1.0.0/16"]
    names(monkeypatch, ["10.1.2.3"])
    assert outside.check("http://erp.internal:8080/hooks")
    names(monkeypatch, ["10.2.2.3"])
    with pytest.raises(outside.ForbiddenAddress):
        outside.check("http://erp.internal:8080/hooks")
    names(monkeypatch, [PUBLIC])
    with pytest.raises(outside.InvalidUrl):
        outside.check("http://hooks.example:8080/")


# -- What is called ---------------------------------------------------------------------------------------


INSIDE = ["http://127.0.0.1:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://2130706433:{port}/",
          "http://0x7f000001:{port}/", "http://0177.0.0.1:{port}/", "http://127.1:{port}/", "http://0:{port}/",
          "http://localhost:{port}/", "http://①②⑦.⓪.⓪.①:{port}/", "http://ok.example@127.0.0.1:{port}/"]  # fmt: skip


def test_a_listener_on_loopback_sees_no_connection(receiver, settings):
    settings.OUTSIDE_PORTS = [443, receiver.server_port]
    for url in INSIDE:
        with pytest.raises(Refused):
            post(url.format(port=receiver.server_port), seconds=2)
    assert receiver.seen == []


def test_a_name_that_turns_inside_after_it_was_checked_reaches_nothing(receiver, settings, monkeypatch):
    settings.OUTSIDE_PORTS = [receiver.server_port]
    names(monkeypatch, [PUBLIC], ["127.0.0.1"])
    url = f"https://rebind.example:{receiver.server_port}/"
    assert outside.check(url) == url
    with pytest.raises(outside.ForbiddenAddress):
        post(url)
    assert receiver.seen == []


def test_it_connects_to_the_address_that_was_checked(receiver, loopback, monkeypatch):
    """One look-up for a call: what a second one would say does not matter."""
    names(monkeypatch, ["127.0.0.1"], ["127.0.0.99"])
    answer = post(f"http://hooks.example:{receiver.server_port}/fine?a=1")
    assert (answer.status, answer.body) == (200, b"thank you")
    path, headers, body = receiver.seen[0]
    assert (path, body) == ("/fine?a=1", b"{}")
    assert headers["Host"] == f"hooks.example:{receiver.server_port}"


def test_it_follows_no_redirect(receiver, loopback):
    assert post(f"{receiver.url}/moved").status == 302
    assert len(receiver.seen) == 1


def test_it_takes_no_proxy_from_the_environment(receiver, loopback, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert post(f"{receiver.url}/fine").status == 200


@pytest.mark.parametrize("path", ["drip", "slow_head"])
def test_it_ends_what_drips(receiver, loopback, path):
    started = time.monotonic()
    with pytest.raises(outside.Unreachable, match="in time"):
        post(f"{receiver.url}/{path}", seconds=0.5)
    assert time.monotonic() - started < 60  # and it drips for longer


def test_it_reads_a_little_of_what_never_ends(receiver, loopback):
    answer = post(f"{receiver.url}/endless", seconds=5)
    assert (answer.status, len(answer.body)) == (200, outside.MOST_READ)


@pytest.mark.parametrize(("path", "words"), [("cut", "cut"), ("nonsense", "HTTP")])
def test_it_says_why_nothing_came(receiver, loopback, path, words):
    with pytest.raises(outside.Unreachable, match=words):
        post(f"{receiver.url}/{path}")


def test_it_says_that_nobody_listens(loopback):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(outside.Unreachable, match="refused"):
        post(f"http://127.0.0.1:{port}/")


def certificate(folder):
    """A certificate that nobody signed, for localhost."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = folder / "server.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return file


def test_it_checks_whose_certificate_it_is(receiver, loopback, monkeypatch, tmp_path):
    file = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    receiver.socket = context.wrap_socket(receiver.socket, server_side=True)
    names(monkeypatch, ["127.0.0.1"])
    url = f"https://hooks.example:{receiver.server_port}/fine"
    with pytest.raises(outside.Unreachable, match="secured"):
        post(url)
    trusting = ssl.create_default_context(cafile=str(file))
    monkeypatch.setattr(outside, "tls", lambda: trusting)
    assert post(url).status == 200
    with pytest.raises(outside.Unreachable, match="secured"):
        post(url.replace("hooks", "other"))
