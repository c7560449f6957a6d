"""Webhooks over HTTP: one POST to one address, within one deadline, to nowhere that is not open to all.

Speaks through httpcore, the engine below httpx: there the address a connection goes to and the time every read may take are
ours to set, while the request keeps the host's name for TLS and the Host header.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property

import httpcore
import httpx

from annotation_ops import __version__
from annotation_ops.domain.errors import InvalidInput, TransientError, UnsafeInput
from annotation_ops.domain.network_address import NoTarget, Target, closed_address, read_target
from annotation_ops.ports.webhook_sender import Answer, WebhookSender

TIMEOUT_SECONDS = 15.0
"""For all of it, from the connection to the end of the answer; the specification asks for 15 to 30 s."""

MAX_ANSWER = 65_536
"""Bytes of an answer's body that are read, to be polite; a longer one is cut off."""

Resolve = Callable[[str, int], Sequence[str]]
"""Host and port -> its network addresses. Raises OSError."""


def system_resolve(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


class HttpWebhookSender(WebhookSender):
    """`open_hosts` are those that may lie anywhere, private networks too, and be spoken to without TLS: `host` or `host:port`.

    No proxy of the environment is used; connections are not kept. May be shared by threads.
    """

    def __init__(
        self,
        *,
        open_hosts: frozenset[str] = frozenset(),
        resolve: Resolve = system_resolve,
        timeout_seconds: float = TIMEOUT_SECONDS,
        certificates: ssl.SSLContext | None = None,
        network: httpcore.NetworkBackend | None = None,
    ) -> None:
        self._open_hosts = open_hosts
        self._resolve = resolve
        self._timeout = timeout_seconds
        self._certificates = certificates
        self._network = network or httpcore.SyncBackend()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._certificates or httpx.create_ssl_context(trust_env=False)

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        began = time.monotonic()
        target = self._allowed(url)
        addresses = self._addresses(target)
        network = PinnedNetwork(self._network, addresses, deadline=began + self._timeout)
        sent = {
            "host": target.authority,
            "content-type": "application/json",
            "user-agent": f"annotation-ops/{__version__}",
            **headers,
        }
        try:
            with (
                httpcore.ConnectionPool(ssl_context=self._tls, network_backend=network) as pool,
                pool.stream(
                    "POST",
                    httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.target),
                    headers=list(sent.items()),
                    content=body,
                ) as response,
            ):
                _read_some(response.iter_stream())
                retry_after = _retry_after(response.headers)
                return Answer(response.status, time.monotonic() - began, retry_after)
        except httpcore.TimeoutException:
            raise TransientError(
                f"{target.shown}: found no whole answer within {self._timeout:g} s, expected one; it is tried again."
            ) from None
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise TransientError(
                f"{target.shown}: found {type(error).__name__} ({str(error)[:200]}), expected an HTTP answer; "
                "it is tried again."
            ) from None

    def _allowed(self, url: str) -> Target:
        target = read_target(url)
        if isinstance(target, NoTarget):
            raise InvalidInput(f"webhook address: found {target.found}, expected {target.expected}.")
        if target.scheme == "http" and not self._is_open(target):
            raise UnsafeInput(
                f"{target.shown}: found plain http, expected https. Only hosts that ANNOTATION_OPS_WEBHOOK_HOSTS names "
                "are spoken to without TLS."
            )
        return target

    def _is_open(self, target: Target) -> bool:
        return not target.names.isdisjoint(self._open_hosts)

    def _addresses(self, target: Target) -> Sequence[str]:
        """Asked for once: what was looked at is what is connected to, whatever the name leads to a moment later."""
        try:
            addresses = self._resolve(target.host, target.port)
        except (OSError, UnicodeError) as error:
            raise TransientError(
                f"{target.shown}: found no network address for the host ({error}), expected one; it is tried again."
            ) from None
        if not addresses:
            raise TransientError(f"{target.shown}: found no network address for the host; it is tried again.")
        closed = [] if self._is_open(target) else [address for address in addresses if closed_address(address)]
        if closed:
            raise UnsafeInput(
                f"{target.shown}: found that it leads to {closed[0]}, expected an address that is open to all. "
                "If it is yours, name the host in ANNOTATION_OPS_WEBHOOK_HOSTS."
            )
        return addresses


@dataclass(frozen=True, slots=True)
class PinnedNetwork(httpcore.NetworkBackend):
    """Connects to the given addresses only, in turn, whatever host is asked for; everything ends at the deadline."""

    network: httpcore.NetworkBackend
    addresses: Sequence[str]
    deadline: float
    """Of `time.monotonic`."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError("no address")
        for address in self.addresses:
            try:
                stream = self.network.connect_tcp(address, port, timeout=_left(self.deadline))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return DeadlineStream(stream, self.deadline)
        raise failure


@dataclass(frozen=True, slots=True)
class DeadlineStream(httpcore.NetworkStream):
    """A stream on which no step takes longer than what is left: an endpoint that drips its answer gains nothing."""

    stream: httpcore.NetworkStream
    deadline: float

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.stream.read(max_bytes, timeout=_left(self.deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.stream.write(buffer, timeout=_left(self.deadline))

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self.stream.start_tls(ssl_context, server_hostname, timeout=_left(self.deadline))
        return DeadlineStream(secured, self.deadline)

    def get_extra_info(self, info: str) -> object:
        return self.stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the deadline has passed")
    return left


def _read_some(chunks: Iterable[bytes]) -> None:
    read = 0
    for chunk in chunks:
        read += len(chunk)
        if read >= MAX_ANSWER:
            return


def _retry_after(headers: Sequence[tuple[bytes, bytes]]) -> timedelta | None:
    """In seconds or as a date; None when it is neither or not there."""
    text = next((value.decode("latin-1").strip() for name, value in headers if name.lower() == b"retry-after"), "")
    if text.isascii() and text.isdecimal():
        return timedelta(seconds=min(int(text[:10]), 10**9))
    try:
        return max(timedelta(0), parsedate_to_datetime(text) - datetime.now(UTC))
    except (ValueError, TypeError):
        return None
