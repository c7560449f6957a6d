"""An endpoint on loopback that behaves as it is told: what it was sent is kept, what it answers is scripted."""

import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

Behaviour: TypeAlias = "Callable[[Handler], None]"


@dataclass(frozen=True, slots=True)
class Received:
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


@dataclass
class Receiver:
    """Answers by the script, one behaviour a request, then by `usual`."""

    port: int = 0
    usual: Behaviour = field(default_factory=lambda: answer(204))
    script: "deque[Behaviour]" = field(default_factory=deque)
    received: list[Received] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?key=path-secret"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def ids(self) -> list[str]:
        return [message.headers["webhook-id"] for message in self.received]


class Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.receiver.received.append(Received(self.path, headers, body))
        behave = self.receiver.script.popleft() if self.receiver.script else self.receiver.usual
        try:
            behave(self)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def answer(status: int, **headers: str) -> Behaviour:
    """Header names with underscores for hyphens."""

    def behave(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", "0")
        handler.end_headers()

    return behave


def hang(handler: Handler) -> None:
    handler.receiver.stopping.wait(30)


def hang_up(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.close()


def talk_nonsense(handler: Handler) -> None:
    handler.wfile.write(b"HELLO I AM NO HTTP SERVER\r\n\r\n")
    handler.close_connection = True


def drip_headers(handler: Handler) -> None:
    """A byte now and then, for ever: no single read is slow."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while not handler.receiver.stopping.wait(0.05):
        handler.wfile.write(b"z")
        handler.wfile.flush()


def drip_body(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    while not handler.receiver.stopping.wait(0.05):
        handler.wfile.write(b"z")
        handler.wfile.flush()


def flood(handler: Handler) -> None:
    """A body without end, as fast as it is read."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000000\r\n\r\n")
    until = time.monotonic() + 10
    while time.monotonic() < until:
        handler.wfile.write(b"z" * 65_536)


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver = Receiver()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneHandler", (Handler,), {"receiver": receiver}))
    server.daemon_threads = False
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()
