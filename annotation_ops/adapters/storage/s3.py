"""Raw objects in an S3-compatible bucket."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from annotation_ops.adapters.storage.sidecars import described, joined, sidecar_of
from annotation_ops.domain.errors import (
    InvalidInput,
    NotFound,
    PermanentError,
    TransientError,
    UnsafeInput,
    Unsupported,
)
from annotation_ops.domain.ingestion import SIDECAR_LIMIT, parse_metadata
from annotation_ops.ports.object_store import ObjectInfo, ObjectStore

if TYPE_CHECKING:
    from botocore.client import BaseClient

MISSING = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})
REFUSED = frozenset({"400", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidBucketName"})


class S3Bucket(ObjectStore):
    """A prefix of a bucket. User metadata are `x-amz-meta-*`; where a sidecar `<key>.json` exists it wins.

    The client is thread-safe boto3 (`dagster_aws.s3.S3Resource.get_client()` or `boto3.client("s3")`).
    """

    def __init__(self, client: "BaseClient", bucket: str, prefix: str = "") -> None:
        """`prefix` is taken as a folder: "" or with a slash at its end (added when missing)."""
        self._client: Any = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{key}"

    def key_of(self, uri: str) -> str:
        root = self.uri("")
        if not uri.startswith(root):
            raise InvalidInput(f"{uri}: found an address elsewhere, expected one below {root}")
        return uri.removeprefix(root)

    def list(self, prefix: str = "", *, start_after: str | None = None) -> Iterator[ObjectInfo]:
        return joined(self._pages(prefix, start_after), prefix=prefix, start_after=start_after, exists=self._exists)

    def head(self, key: str) -> tuple[ObjectInfo, Mapping[str, str]]:
        with s3_faults(self.uri(key)):
            answer = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        info = _info(key, answer["ContentLength"], answer)
        sidecar = self._sidecar(key)
        if sidecar is None:
            return info, dict(answer["Metadata"])
        return described(info, sidecar[0]), parse_metadata(sidecar[1])

    def read(self, key: str, *, max_bytes: int) -> bytes:
        return self._get(key, max_bytes)[1]

    def put(self, key: str, body: bytes, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        if not all(f"{name}{value}".isascii() for name, value in (metadata or {}).items()):
            raise InvalidInput(f"{key}: S3 metadata are ASCII; put a sidecar {sidecar_of(key)} instead")
        with s3_faults(self.uri(key)):
            self._client.put_object(
                Bucket=self._bucket, Key=self._prefix + key, Body=body, Metadata=dict(metadata or {})
            )
            if metadata is not None:
                self._client.delete_object(Bucket=self._bucket, Key=self._prefix + sidecar_of(key))
        return self.head(key)[0]

    def _pages(self, prefix: str, start_after: str | None) -> Iterator[ObjectInfo]:
        query = {"Bucket": self._bucket, "Prefix": self._prefix + prefix}
        if start_after is not None:
            query["StartAfter"] = self._prefix + start_after
        with s3_faults(self.uri(prefix)):
            for page in self._client.get_paginator("list_objects_v2").paginate(**query):
                for entry in page.get("Contents", ()):
                    # Consoles create empty objects that end in a slash to show a folder.
                    if not entry["Key"].endswith("/"):
                        yield _info(entry["Key"].removeprefix(self._prefix), entry["Size"], entry)

    def _exists(self, key: str) -> bool:
        try:
            with s3_faults(self.uri(key)):
                self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        except NotFound:
            return False
        return True

    def _sidecar(self, key: str) -> tuple[ObjectInfo, bytes] | None:
        try:
            return self._get(sidecar_of(key), SIDECAR_LIMIT)
        except NotFound:
            return None

    def _get(self, key: str, max_bytes: int) -> tuple[ObjectInfo, bytes]:
        with s3_faults(self.uri(key)):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            with answer["Body"] as stream:
                body: bytes = stream.read(max_bytes + 1) if answer["ContentLength"] <= max_bytes else b""
        if answer["ContentLength"] > max_bytes:
            found = answer["ContentLength"]
            raise UnsafeInput(f"{self.uri(key)}: found {found} bytes, expected at most {max_bytes}")
        return _info(key, answer["ContentLength"], answer), body


def refuse_unconditional_puts(client: "BaseClient", bucket: str, prefix: str) -> None:
    """Proves that the store honours `If-None-Match: *`; on one that ignores it, racing lake commits overwrite each other.

    Raises Unsupported; PermanentError or NotFound when the bucket cannot be written; TransientError.
    """
    service: Any = client
    key = f"{prefix}conditional-put-{uuid.uuid4().hex}"
    place = f"s3://{bucket}/{key}"
    with s3_faults(place):
        service.put_object(Bucket=bucket, Key=key, Body=b"first", IfNoneMatch="*")
    try:
        with s3_faults(place):
            service.put_object(Bucket=bucket, Key=key, Body=b"second", IfNoneMatch="*")
    except _PreconditionFailed:
        return
    finally:
        with s3_faults(place):
            service.delete_object(Bucket=bucket, Key=key)
    raise Unsupported(
        f"{place}: the store overwrote an object in spite of If-None-Match, so concurrent commits would be lost; "
        "expected a store with conditional writes (AWS S3, MinIO, Ceph, R2)"
    )


class _PreconditionFailed(PermanentError):
    """The object exists and the request said not to replace it."""


@contextmanager
def s3_faults(place: str) -> Iterator[None]:
    """Turns botocore's errors into this project's, once."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

    try:
        yield
    except ClientError as error:
        raise _classified(place, error.response["Error"]["Code"], str(error)) from error
    except (NoCredentialsError, ParamValidationError) as error:
        raise PermanentError(f"{place}: {error}") from error
    except (BotoCoreError, OSError) as error:
        raise TransientError(f"{place}: {error}") from error


def _classified(place: str, code: str, text: str) -> Exception:
    if code in ("412", "PreconditionFailed"):
        return _PreconditionFailed(f"{place}: {text}")
    if code in MISSING:
        return NotFound(f"{place}: {text}")
    return (PermanentError if code in REFUSED else TransientError)(f"{place}: {text}")


def _info(key: str, size: int, answer: Mapping[str, Any]) -> ObjectInfo:
    return ObjectInfo(key=key, size=size, etag=answer["ETag"].strip('"'), modified_at=answer["LastModified"])
