"""Media stay where they are: Label Studio shows them from the object store or from the folder it serves.

A storage connection is made for showing only; nothing is ever synchronised through it, and no credentials are handed over: the
Label Studio server needs read access of its own (its AWS variables or role, its document root).
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from annotation_ops.adapters.platforms.label_studio.client import LabelStudioClient
from annotation_ops.adapters.platforms.label_studio.connection import LOCAL_ROUTE, Connection
from annotation_ops.domain.errors import InvalidInput

TITLE = "annotation-ops"


def connect_folders(client: LabelStudioClient, project: int, media: Collection[str], connection: Connection) -> None:
    """Lets the server show the local files among the media. One connection of any project opens a folder to every member."""
    root = connection.document_root
    folders = {medium.removeprefix(LOCAL_ROUTE).partition("/")[0] for medium in media if medium.startswith(LOCAL_ROUTE)}
    if root is None or not folders:
        return
    known = {row["path"] for row in client.get("/api/storages/localfiles", project=project)}
    for folder in sorted(folders):
        path = root / folder
        if not path.is_dir():
            raise InvalidInput(
                f"{path}: found a file, expected a folder: Label Studio serves folders below its document root {root}, "
                f"not files that lie directly in it"
            )
        if str(path) not in known:
            body = {"project": project, "path": str(path), "title": TITLE, "use_blob_urls": True}
            client.post("/api/storages/localfiles", body)


def connect_buckets(client: LabelStudioClient, project: int, media: Collection[str], connection: Connection) -> None:
    """Lets this project's tasks show s3:// media, by URLs that Label Studio presigns when somebody looks."""
    buckets = {urlsplit(medium).netloc for medium in media if medium.startswith("s3://")}
    if not buckets:
        return
    known = {row["bucket"] for row in client.get("/api/storages/s3", project=project)}
    endpoint = {} if connection.s3_endpoint is None else {"s3_endpoint": connection.s3_endpoint}
    for bucket in sorted(buckets - known):
        body = {"project": project, "bucket": bucket, "title": TITLE, "use_blob_urls": True, "presign": True}
        client.post("/api/storages/s3", {**body, **endpoint})
