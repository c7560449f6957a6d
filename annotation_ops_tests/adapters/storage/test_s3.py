import http.server
import threading
from collections.abc import Iterator

import boto3
import pytest

from annotation_ops.adapters.storage.delta_lake import DeltaLake
from annotation_ops.adapters.storage.s3 import S3Bucket, refuse_unconditional_puts
from annotation_ops.domain.errors import InvalidInput, NotFound, TransientError, Unsupported
from annotation_ops.ports.object_store import ObjectStore
from annotation_ops_tests.contracts.object_store import ObjectStoreContract
from annotation_ops_tests.s3 import KEYS, S3Server, s3_server


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as started:
        yield started


class TestS3Bucket(ObjectStoreContract):
    @pytest.fixture
    def store(self, server: S3Server) -> ObjectStore:
        client = server.client()
        bucket = server.bucket()
        client.put_object(Bucket=bucket, Key="raw-other/a.txt", Body=b"outside the prefix")
        return S3Bucket(client, bucket, "raw")

    def test_folder_markers_of_consoles_are_not_objects(self, server: S3Server) -> None:
        client, bucket = server.client(), server.bucket()
        client.put_object(Bucket=bucket, Key="day/", Body=b"")
        client.put_object(Bucket=bucket, Key="day/a.txt", Body=b"x")

        assert [info.key for info in S3Bucket(client, bucket).list()] == ["day/a.txt"]

    @pytest.mark.slow
    def test_a_listing_longer_than_a_page_is_complete(self, server: S3Server) -> None:
        client, bucket = server.client(), server.bucket()
        for number in range(1_003):
            client.put_object(Bucket=bucket, Key=f"{number:05d}", Body=b"")

        assert len(list(S3Bucket(client, bucket).list())) == 1_003

    def test_metadata_that_s3_cannot_carry_are_refused_with_the_mend(self, store: ObjectStore) -> None:
        with pytest.raises(InvalidInput, match="sidecar"):
            store.put("a.png", b"x", metadata={"city": "Zürich"})

    def test_a_missing_bucket_is_not_found(self, server: S3Server) -> None:
        with pytest.raises(NotFound):
            list(S3Bucket(server.client(), "no-such-bucket").list())


def test_a_store_that_does_not_answer_is_a_transient_error() -> None:
    import botocore.config

    quick = botocore.config.Config(retries={"total_max_attempts": 1}, connect_timeout=1)
    client = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:1",
        region_name="us-east-1",
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        config=quick,
    )

    with pytest.raises(TransientError):
        S3Bucket(client, "bucket").read("a", max_bytes=1)
    client.close()


def test_a_store_that_honours_conditional_puts_passes_and_is_left_clean(server: S3Server) -> None:
    bucket = server.bucket()

    DeltaLake(f"s3://{bucket}/lake", server.storage_options).check_conditional_put()

    assert list(S3Bucket(server.client(), bucket).list()) == []


class _Careless(http.server.BaseHTTPRequestHandler):
    """An S3-like store that answers every write with success."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_DELETE(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


def test_a_store_that_ignores_conditional_puts_is_refused() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), _Careless) as careless:
        thread = threading.Thread(target=careless.serve_forever)
        thread.start()
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{careless.server_port}",
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )
        with pytest.raises(Unsupported, match="If-None-Match"):
            refuse_unconditional_puts(client, "bucket", "lake/")
        client.close()
        careless.shutdown()
        thread.join()
