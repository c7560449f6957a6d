"""Webhooks over a real socket: what is sent, what counts as an answer, and where nothing may go."""

import logging
import ssl
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from annotation_ops.adapters.webhook_sender import HttpWebhookSender, system_resolve
from annotation_ops.domain.errors import InvalidInput, TransientError, UnsafeInput
from annotation_ops.domain.network_address import closed_address
from annotation_ops_tests.webhook_receiver import (
    Behaviour,
    Receiver,
    answer,
    drip_body,
    drip_headers,
    flood,
    hang,
    hang_up,
    receiving,
    talk_nonsense,
)

HEADERS = {"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": "v1,c2lnbmF0dXJl"}
BODY = b'{"type":"ping"}'
PUBLIC = "93.184.215.14"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


class Names:
    """A resolver that answers from a list, and remembers what it was asked; the last answer stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def sender_to(receiver: Receiver, *, timeout: float = 5.0) -> HttpWebhookSender:
    return HttpWebhookSender(open_hosts=frozenset({receiver.host}), timeout_seconds=timeout)


def test_one_post_carries_the_body_the_headers_and_the_host_as_declared(receiver: Receiver) -> None:
    got = sender_to(receiver).send(receiver.url, HEADERS, BODY)

    assert got.status == 204
    assert 0 < got.seconds < 5
    (message,) = receiver.received
    assert (message.path, message.body) == ("/hook?key=path-secret", BODY)
    assert message.headers.items() >= HEADERS.items()
    assert message.headers["host"] == receiver.host
    assert message.headers["content-type"] == "application/json"
    assert message.headers["user-agent"].startswith("annotation-ops/")


@pytest.mark.parametrize("status", [200, 204, 301, 302, 303, 307, 308, 400, 410, 429, 500, 503])
def test_every_status_is_an_answer_and_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.usual = answer(status, location=f"http://127.0.0.1:{receiver.port}/elsewhere")

    assert sender_to(receiver).send(receiver.url, HEADERS, BODY).status == status
    assert [message.path for message in receiver.received] == ["/hook?key=path-secret"]


@pytest.mark.parametrize(
    ("text", "wait"), [("120", timedelta(minutes=2)), ("0", timedelta(0)), ("soon", None), ("-5", None), ("1.5", None)]
)
def test_how_long_to_wait_is_read_in_seconds(receiver: Receiver, text: str, wait: timedelta | None) -> None:
    receiver.usual = answer(429, retry_after=text)

    assert sender_to(receiver).send(receiver.url, HEADERS, BODY).retry_after == wait


def test_how_long_to_wait_is_read_as_a_date_too_and_the_past_is_no_wait(receiver: Receiver) -> None:
    now = datetime.now(UTC)
    receiver.script.extend(
        answer(503, retry_after=format_datetime(moment, usegmt=True))
        for moment in (now + timedelta(hours=1), now - timedelta(hours=1))
    )

    waits = [sender_to(receiver).send(receiver.url, HEADERS, BODY).retry_after for _ in range(2)]

    assert waits[0] is not None
    assert timedelta(minutes=59) < waits[0] <= timedelta(hours=1)
    assert waits[1] == timedelta(0)


@pytest.mark.parametrize("behaviour", [hang, drip_headers, drip_body])
def test_an_endpoint_that_is_slow_in_any_way_ends_at_the_deadline(receiver: Receiver, behaviour: Behaviour) -> None:
    receiver.usual = behaviour
    began = time.monotonic()

    with pytest.raises(TransientError, match=r"no whole answer within 0\.4 s"):
        sender_to(receiver, timeout=0.4).send(receiver.url, HEADERS, BODY)

    assert time.monotonic() - began < 2


@pytest.mark.parametrize("behaviour", [hang_up, talk_nonsense])
def test_no_http_answer_may_pass(receiver: Receiver, behaviour: Behaviour) -> None:
    receiver.usual = behaviour

    with pytest.raises(TransientError, match="expected an HTTP answer"):
        sender_to(receiver).send(receiver.url, HEADERS, BODY)


def test_an_answer_without_end_is_cut_off_and_its_status_counts(receiver: Receiver) -> None:
    receiver.usual = flood
    began = time.monotonic()

    assert sender_to(receiver).send(receiver.url, HEADERS, BODY).status == 200
    assert time.monotonic() - began < 5


def test_nobody_listening_may_pass() -> None:
    with receiving() as gone:
        sender = sender_to(gone)

    with pytest.raises(TransientError, match=r"127\.0\.0\.1:\d+: found Connect"):
        sender.send(gone.url, HEADERS, BODY)


def test_errors_and_logs_hold_neither_path_nor_headers_nor_body(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.usual = hang_up
    caplog.set_level(logging.DEBUG, logger="annotation_ops")

    with pytest.raises(TransientError) as failed:
        sender_to(receiver).send(receiver.url, HEADERS, BODY)

    told = f"{failed.value!r} {failed.value.__cause__} {caplog.text}"
    assert "path-secret" not in told
    assert "c2lnbmF0dXJl" not in told


def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert sender_to(receiver).send(receiver.url, HEADERS, BODY).status == 204


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        *((f"https://{host}/", (host,)) for host in ("127.0.0.1", "10.0.0.1", "172.16.5.4", "192.168.1.1", "0.0.0.0")),
        *((f"https://{host}/", (host,)) for host in ("169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255")),
        *((f"https://[{host}]/", (host,)) for host in ("::1", "::", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "fe80::1")),
        *((f"https://[{host}]/", (host,)) for host in ("fd00:ec2::254", "2002:7f00:1::", "64:ff9b::7f00:1", "ff02::1")),
        ("https://localhost/", ("127.0.0.1", "::1")),
        ("https://localhost./", ("127.0.0.1",)),
        ("https://LOCALHOST:8443/", ("127.0.0.1",)),
        ("https://127.0.0.1.nip.example/", ("127.0.0.1",)),
        ("https://10-0-0-1.sslip.example/", ("10.0.0.1",)),
        ("https://metadata.google.internal/", ("169.254.169.254",)),
        ("https://kubernetes.default.svc/", ("10.96.0.1",)),
        ("https://mixed.example/", (PUBLIC, "10.0.0.1")),
        ("https://mixed6.example/", (PUBLIC, "::1")),
        ("https://mapped.example/", ("::ffff:192.168.0.1",)),
        ("https://scoped.example/", ("fe80::1%eth0",)),
        ("https://strange.example/", ("not an address",)),
        ("https://cgnat.example/", ("100.100.100.200",)),
        ("https://teredo.example/", ("2001:0:4136:e378:8000:63bf:3fff:fdd2",)),
        ("http://public.example/", (PUBLIC,)),
        (f"http://{PUBLIC}/", (PUBLIC,)),
    ],
)
def test_a_host_that_leads_to_anything_not_open_to_all_is_refused(url: str, addresses: tuple[str, ...]) -> None:
    with pytest.raises(UnsafeInput, match=r"expected (an address that is open to all|https)") as refused:
        HttpWebhookSender(resolve=Names(addresses)).send(url, HEADERS, BODY)

    assert "ANNOTATION_OPS_WEBHOOK_HOSTS" in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://017700000001/",
            "https://127.1/",
        ),
        *("https://0x7f.0.0.1/", "https://127.0.0.01/", "https://0/", "https://[::ffff:127.0.0.1%25lo]/"),
        *("https://user@127.0.0.1/", "https://example.com@127.0.0.1/", "https://example.com\\@127.0.0.1/"),
        *("ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1:25/", "//127.0.0.1/", "https://127。0。0。1/"),
        *("https://[127.0.0.1]/", "https://127.0.0.1:99999/", "https://①②⑦.0.0.1/"),
    ],
)
def test_an_address_in_disguise_is_no_address(url: str) -> None:
    names = Names(("127.0.0.1",))

    with pytest.raises(InvalidInput, match="webhook address: found"):
        HttpWebhookSender(resolve=names).send(url, HEADERS, BODY)
    assert names.asked == []


@pytest.mark.parametrize("text", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "localhost", "127.0.0.1"])
def test_what_the_system_makes_of_a_disguise_is_closed_as_well(text: str) -> None:
    assert all(closed_address(address) for address in system_resolve(text, 443))


class Nowhere(httpcore.NetworkBackend):
    """A network on which nobody answers; remembers the addresses it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def connect_tcp(self, host: str, port: int, *_: object, **__: object) -> httpcore.NetworkStream:
        self.asked.append((host, port))
        raise httpcore.ConnectError("nobody answers")


def test_a_name_that_changes_its_address_after_it_was_looked_at_gains_nothing() -> None:
    """Rebinding: first an address open to all, then loopback."""
    names, network = Names((PUBLIC,), ("127.0.0.1",)), Nowhere()
    sender = HttpWebhookSender(resolve=names, network=network)

    with pytest.raises(TransientError):
        sender.send("https://rebinding.example:8443/", HEADERS, BODY)

    assert names.asked == ["rebinding.example"], "asked once"
    assert network.asked == [(PUBLIC, 8443)], "and that address was connected to"
    with pytest.raises(UnsafeInput):
        sender.send("https://rebinding.example:8443/", HEADERS, BODY)
    assert len(network.asked) == 1


def test_a_listed_host_is_reached_by_the_address_its_name_had(receiver: Receiver) -> None:
    names = Names(("127.0.0.1",), ("192.0.2.1",))
    sender = HttpWebhookSender(open_hosts=frozenset({"hooks.internal"}), resolve=names)

    assert sender.send(f"http://HOOKS.internal.:{receiver.port}/", HEADERS, BODY).status == 204
    assert names.asked == ["hooks.internal."]
    assert receiver.received[0].headers["host"] == f"hooks.internal.:{receiver.port}"


@pytest.mark.parametrize("listed", ["127.0.0.1:1", "127.0.0.10", "localhost", "27.0.0.1"])
def test_another_port_or_a_name_alike_is_not_listed(receiver: Receiver, listed: str) -> None:
    with pytest.raises(UnsafeInput):
        HttpWebhookSender(open_hosts=frozenset({listed})).send(receiver.url, HEADERS, BODY)

    assert receiver.received == []


def test_the_second_address_is_tried_when_nobody_answers_at_the_first(receiver: Receiver) -> None:
    sender = HttpWebhookSender(
        open_hosts=frozenset({"hooks.internal"}), resolve=Names(("::1", "127.0.0.1")), timeout_seconds=5
    )

    assert sender.send(f"http://hooks.internal:{receiver.port}/", HEADERS, BODY).status == 204


def test_a_name_without_an_address_may_pass() -> None:
    def nobody(_host: str, _port: int) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(TransientError, match="no network address"):
        HttpWebhookSender(resolve=nobody).send("https://nowhere.example/", HEADERS, BODY)
    with pytest.raises(TransientError, match="no network address"):
        HttpWebhookSender(resolve=Names(())).send("https://nowhere.example/", HEADERS, BODY)


def certificate(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    unencrypted = serialization.NoEncryption()
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unencrypted)
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.parametrize(("asked", "good"), [("hooks.internal", True), ("other.internal", False)])
def test_tls_is_spoken_to_the_name_though_the_connection_goes_to_the_address(
    tmp_path: Path, asked: str, good: bool
) -> None:
    own = certificate(tmp_path, "hooks.internal")
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(own)
    names: list[str | None] = []
    server_side.set_servername_callback(lambda _socket, name, _context: names.append(name))
    trusting = ssl.create_default_context(cafile=str(own))
    sender = HttpWebhookSender(
        open_hosts=frozenset({asked}), resolve=Names(("127.0.0.1",)), certificates=trusting, timeout_seconds=5
    )

    with receiving(server_side) as receiver:
        if good:
            assert sender.send(f"https://{asked}:{receiver.port}/", HEADERS, BODY).status == 204
            assert receiver.received[0].headers["host"] == f"{asked}:{receiver.port}"
        else:
            with pytest.raises(TransientError, match="ConnectError"):
                sender.send(f"https://{asked}:{receiver.port}/", HEADERS, BODY)
            assert receiver.received == []

    assert names == [asked]


def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate(tmp_path, "hooks.internal"))
    sender = HttpWebhookSender(open_hosts=frozenset({"hooks.internal"}), resolve=Names(("127.0.0.1",)))

    with receiving(server_side) as receiver, pytest.raises(TransientError, match="CERTIFICATE_VERIFY_FAILED"):
        sender.send(f"https://hooks.internal:{receiver.port}/", HEADERS, BODY)
