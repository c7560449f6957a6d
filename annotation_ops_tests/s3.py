"""An S3 server for tests: moto, served one request at a time.

moto's threaded server does not check and write `If-None-Match` atomically, so two racing lake commits can both "win"
there. It runs in a process of its own: a client that holds the interpreter lock while it waits would block a thread.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}


@dataclass(frozen=True, slots=True)
class S3Server:
    endpoint: str
    clients: list[Any] = field(default_factory=list)

    @property
    def storage_options(self) -> Mapping[str, str]:
        """For deltalake."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.endpoint, "AWS_ALLOW_HTTP": "true"}

    def client(self) -> Any:
        """A boto3 client; closed with the server."""
        import boto3

        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=KEYS["AWS_REGION"],
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )
        self.clients.append(client)
        return client

    def bucket(self) -> str:
        """The name of a new, empty bucket."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        client = self.clients[0] if self.clients else self.client()
        client.create_bucket(Bucket=name)
        return name


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A fresh server on a free port; ends with the block, or with the process that started it."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "annotation_ops_tests.s3", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        server = S3Server(f"http://127.0.0.1:{int(process.stdout.readline())}")
        yield server
        for client in server.clients:
            client.close()
    finally:
        process.kill()
        process.communicate()


def _serve() -> None:
    import threading

    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve()
