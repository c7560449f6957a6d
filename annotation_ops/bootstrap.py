"""Settings in, real parts out. Vendors are imported where they are built, so that loading definitions stays light."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from annotation_ops.domain.errors import NotFound
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.ports.annotation_platform import AnnotationPlatform
from annotation_ops.ports.clock import Clock
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger
from annotation_ops.ports.media import MediaDecoder
from annotation_ops.ports.model_tracking import ModelTracking
from annotation_ops.ports.object_store import ObjectStore
from annotation_ops.ports.training_trigger import TrainingTrigger
from annotation_ops.settings import Settings


class SystemClock(Clock):
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """Every port of one deployment, open. Project-specific ones are built on demand."""

    settings: Settings
    ledger: Ledger
    lake: Lake
    tracking: ModelTracking
    decoder: MediaDecoder
    clock: Clock
    store: Callable[[AnnotationProject], ObjectStore]
    platform: Callable[[AnnotationProject], AnnotationPlatform]
    trigger: Callable[[AnnotationProject], TrainingTrigger]
    close: Callable[[], None]
