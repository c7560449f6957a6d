"""Settings in, real parts out. Vendors are imported where they are built, so that loading definitions stays light."""

import os
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.records import SYSTEM_ACTOR
from annotation_ops.ports.annotation_platform import AnnotationPlatform
from annotation_ops.ports.clock import Clock
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger
from annotation_ops.ports.media import MediaDecoder
from annotation_ops.ports.model_tracking import ModelTracking
from annotation_ops.ports.object_store import ObjectStore
from annotation_ops.ports.training_trigger import TrainingTrigger
from annotation_ops.ports.webhook_sender import WebhookSender
from annotation_ops.settings import Settings

if TYPE_CHECKING:
    from annotation_ops.adapters.mlops.mlflow_tracking import MlflowTracking
    from annotation_ops.adapters.platforms.label_studio.local_server import LocalServer
    from annotation_ops.adapters.storage.delta_lake import DeltaLake


LOCAL_SERVICE = "http://127.0.0.1:8321"
"""Where `annotation-ops serve` listens unless told otherwise."""


class SystemClock(Clock):
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """Every port of one deployment, open. Those that depend on the annotation project are built on demand."""

    settings: Settings
    ledger: Ledger
    lake: Lake
    tracking: ModelTracking
    decoder: MediaDecoder
    clock: Clock
    store: Callable[[AnnotationProject], ObjectStore]
    """The project's raw data."""
    reports: ObjectStore
    """Where runs write HTML reports, `<project>/<what>.html`."""
    logs: Callable[[AnnotationProject], ObjectStore | None]
    """The project's prediction logs; None when a model scores."""
    platform: Callable[[AnnotationProject], AnnotationPlatform]
    trigger: Callable[[AnnotationProject], TrainingTrigger]
    webhooks: WebhookSender
    secret: Callable[[str], str | None]
    """What the environment variable of this name holds, asked for when a message is signed and kept nowhere."""
    close: Callable[[], None]


def build(settings: Settings, *, clock: Clock | None = None) -> Parts:
    """Opens the deployment's parts; the ledger's schema is created or migrated first."""
    from annotation_ops.adapters.media_decoder import ChildDecoder
    from annotation_ops.adapters.mlops.mlflow_tracking import MlflowTracking
    from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger
    from annotation_ops.adapters.webhook_sender import HttpWebhookSender

    settings.home.mkdir(parents=True, exist_ok=True)
    time = clock or SystemClock()
    ledger = SqlLedger(settings.ledger)
    ledger.initialise()
    lake = open_lake(settings.lake, settings)
    _check_lake_once(lake, ledger, settings, now=time.now())
    tracking = MlflowTracking(settings.tracking, artifact_root=_artifact_root(settings))
    decoder = ChildDecoder()

    opened = ExitStack()

    def close() -> None:
        opened.close()
        decoder.close()
        ledger.close()

    return Parts(
        settings=settings,
        ledger=ledger,
        lake=lake,
        tracking=tracking,
        decoder=decoder,
        clock=time,
        store=lambda project: object_store(_address(settings, project.sources.raw.uri), settings),
        reports=object_store(settings.reports, settings),
        logs=lambda project: _log_store(project, settings),
        platform=lambda project: _platform(project, settings, time, decoder, opened),
        trigger=lambda project: _trigger(project, tracking),
        webhooks=HttpWebhookSender(open_hosts=settings.webhook_hosts),
        secret=os.environ.get,
        close=close,
    )


def _check_lake_once(lake: "DeltaLake", ledger: Ledger, settings: Settings, *, now: datetime) -> None:
    """A bucket that ignores conditional writes loses commits silently, so it is refused before the first one."""
    cursor = f"lake_checked:{settings.lake}"
    if not settings.lake.startswith("s3://") or ledger.cursor(cursor):
        return
    lake.check_conditional_put()
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        tx.set_cursor(cursor, now.isoformat())
        tx.audit("lake.checked", settings.lake, {})


def open_lake(address: str, settings: Settings) -> "DeltaLake":
    """The lake at `s3://bucket/prefix` or in a folder."""
    from annotation_ops.adapters.storage.delta_lake import DeltaLake

    return DeltaLake(address, _storage_options(settings) if address.startswith("s3://") else None)


def object_store(address: str, settings: Settings) -> ObjectStore:
    """A store for `s3://bucket/prefix` or a folder."""
    if address.startswith("s3://"):
        from dagster_aws.s3 import S3Resource

        from annotation_ops.adapters.storage.s3 import S3Bucket

        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        return S3Bucket(S3Resource(endpoint_url=settings.s3_endpoint).get_client(), bucket, prefix)
    from annotation_ops.adapters.storage.local_folder import LocalFolder

    return LocalFolder(Path(address.removeprefix("file://")))


def _address(settings: Settings, uri: str) -> str:
    """A source's URI: as it is when absolute, else below the data root."""
    absolute = "://" in uri or uri.startswith("/")
    return uri if absolute else f"{settings.data.rstrip('/')}/{uri}"


def _log_store(project: AnnotationProject, settings: Settings) -> ObjectStore | None:
    uri = project.sources.scoring.log_uri
    return object_store(_address(settings, uri), settings) if uri is not None else None


def _platform(
    project: AnnotationProject, settings: Settings, clock: Clock, decoder: MediaDecoder, opened: ExitStack
) -> AnnotationPlatform:
    if project.workflow.platform == "label_studio":
        return _label_studio(project, settings, decoder, opened)
    from annotation_ops.adapters.platforms.simulated.declaration import load_simulation
    from annotation_ops.adapters.platforms.simulated.platform import SimulatedPlatform

    simulation = load_simulation(settings.projects / project.name / "simulation.yaml", data_root=settings.home / "data")
    return SimulatedPlatform(settings.home / "simulated_platform.sqlite", simulation=simulation, clock=clock)


def _label_studio(
    project: AnnotationProject, settings: Settings, decoder: MediaDecoder, opened: ExitStack
) -> AnnotationPlatform:
    from annotation_ops.adapters.platforms.label_studio.client import LabelStudioClient
    from annotation_ops.adapters.platforms.label_studio.connection import load_connection
    from annotation_ops.adapters.platforms.label_studio.platform import LabelStudio
    from annotation_ops.adapters.platforms.label_studio.webhooks import Inbox

    declared = load_connection(
        settings.projects / project.name / "label_studio.yaml",
        document_root=served_folder(settings),
        s3_endpoint=settings.s3_endpoint,
    )
    store = object_store(_address(settings, project.sources.raw.uri), settings)
    limit = project.contract.max_bytes
    connection = replace(
        declared,
        read_text=lambda uri: _text(store, uri, max_bytes=limit),
        picture_size=lambda uri: _picture_size(store, decoder, uri, max_bytes=limit),
    )
    url, token = settings.label_studio_url, settings.label_studio_token
    inbox = settings.service_url or (LOCAL_SERVICE if url is None else None)
    if inbox is not None:
        connection = replace(connection, inbox=Inbox(inbox, webhook_secrets(settings)[0]))
    if url is None:
        running = local_label_studio(settings).running()
        if running is None:
            raise InvalidInput(
                f"{project.name}: found no Label Studio; start one with `annotation-ops label-studio up {project.name}`, or give "
                f"your server's address in ANNOTATION_OPS_LABEL_STUDIO_URL and a token in ANNOTATION_OPS_LABEL_STUDIO_TOKEN"
            )
        url, token = running.url, running.admin.token
    if token is None:
        raise InvalidInput(f"{url}: found no token for Label Studio, expected one in ANNOTATION_OPS_LABEL_STUDIO_TOKEN")
    client = LabelStudioClient(url, token)
    opened.callback(client.close)
    return LabelStudio(client, connection)


def _text(store: ObjectStore, uri: str, *, max_bytes: int) -> str:
    try:
        return store.read(store.key_of(uri), max_bytes=max_bytes).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{uri}: found bytes that are no UTF-8 ({error.reason} at {error.start}), expected text"
        ) from None


def _picture_size(store: ObjectStore, decoder: MediaDecoder, uri: str, *, max_bytes: int) -> tuple[int, int]:
    seen = decoder.probe(store.read(store.key_of(uri), max_bytes=max_bytes), media="image")
    if seen.width is None or seen.height is None:
        raise InvalidInput(f"{uri}: found {seen.media_type}, expected a picture")
    return seen.width, seen.height


def local_label_studio(settings: Settings) -> "LocalServer":
    """The Label Studio server that belongs to this home."""
    from annotation_ops.adapters.platforms.label_studio.local_server import LocalServer

    return LocalServer(settings.home / "label_studio", cache=settings.cache)


def webhook_secrets(settings: Settings) -> tuple[str, ...]:
    """What webhooks must carry one of, the newest first; made and kept in the home, for its owner only, when none is set."""
    if settings.webhook_secrets:
        return settings.webhook_secrets
    path = settings.home / "webhook_secret"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(32))
        return (path.read_text().strip(),)


def served_folder(settings: Settings) -> Path | None:
    """What Label Studio serves of a folder: as set, or the data root; None when the raw data lie in a bucket."""
    return settings.label_studio_root or (None if "://" in settings.data else Path(settings.data).absolute())


def _trigger(project: AnnotationProject, tracking: "MlflowTracking") -> TrainingTrigger:
    from annotation_ops.adapters.mlops.function_trigger import FunctionTrigger

    monitor = project.monitor
    if monitor is None or monitor.training is None:
        raise InvalidInput(
            f"{project.name}: monitor.yaml declares no training; expected `training: package.module:function`"
        )
    return FunctionTrigger(monitor.training, tracking=tracking, model=monitor.model, experiment=monitor.experiment)


def _artifact_root(settings: Settings) -> str | None:
    """Where models of the embedded tracker lie; a tracking server decides for itself."""
    return str(settings.home / "mlartifacts") if settings.tracking.startswith("sqlite:") else None


def _storage_options(settings: Settings) -> dict[str, str]:
    if settings.s3_endpoint is None:
        return {}
    plain = {"AWS_ALLOW_HTTP": "true"} if settings.s3_endpoint.startswith("http://") else {}
    return {"AWS_ENDPOINT_URL": settings.s3_endpoint, **plain}
