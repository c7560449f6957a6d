from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from annotation_ops.domain.errors import InvalidInput, NotFound, UnsafeInput
from annotation_ops.domain.project.sources import Scoring
from annotation_ops.domain.tables import PREDICTIONS
from annotation_ops.ports.media import MediaDecoder, MediaInfo
from annotation_ops.ports.model_tracking import ModelVersion, Scorer
from annotation_ops.ports.object_store import ObjectInfo, ObjectStore
from annotation_ops.services.predict import PredictReport, predict_day
from annotation_ops.services.rank import rank_day
from annotation_ops_tests.fakes.lake import MemoryLake
from annotation_ops_tests.fakes.model_tracking import MemoryTracking
from annotation_ops_tests.services.loop import DAY, BatchedSamples, ingest, project_of, raw

PARTITION = {"project": "pets", "day": DAY.isoformat()}
MODEL = ModelVersion("pets-model", "7", "run", datetime(2026, 11, 1, tzinfo=UTC))
LOGGED = Scoring(model=None, features=None, width=0, height=0, log_uri="logs")


class Folder(ObjectStore):
    """Objects in memory."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self._objects = dict(objects)

    def uri(self, key: str) -> str:
        return f"mem://{key}"

    def key_of(self, uri: str) -> str:
        return uri.removeprefix("mem://")

    def list(self, prefix: str = "", *, start_after: str | None = None) -> Iterator[ObjectInfo]:
        raise NotImplementedError

    def head(self, key: str) -> tuple[ObjectInfo, Mapping[str, str]]:
        raise NotImplementedError

    def read(self, key: str, *, max_bytes: int) -> bytes:
        if key not in self._objects:
            raise NotFound(f"{key}: gone")
        if len(self._objects[key]) > max_bytes:
            raise UnsafeInput(f"{key}: too large")
        return self._objects[key]

    def put(self, key: str, body: bytes, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        raise NotImplementedError


class BytePixels(MediaDecoder):
    """The first bytes of an object are its pixels."""

    def probe(self, body: bytes, *, media: str) -> MediaInfo:
        raise NotImplementedError

    def grey_pixels(self, body: bytes, *, width: int, height: int) -> NDArray[np.float64]:
        if len(body) < width * height:
            raise InvalidInput("cut off")
        return np.frombuffer(body, dtype=np.uint8)[: width * height] / 255.0

    def close(self) -> None:
        return None


class FirstPixel(Scorer):
    """P(dog) is the first pixel, P(cat) the rest; it never heard of owls and lists dogs first."""

    classes = ("dog", "cat")

    def predict_proba(self, features: NDArray[np.float64] | Sequence[str]) -> NDArray[np.float64]:
        first = np.asarray(features)[:, 0]
        return np.column_stack([first, 1 - first])


class WordCounter(Scorer):
    classes = ("cat", "dog", "owl")

    def predict_proba(self, features: NDArray[np.float64] | Sequence[str]) -> NDArray[np.float64]:
        return np.array([[1.0, 0.0, 0.0] if "cat" in text else [0.0, 0.0, 1.0] for text in features])


class Stranger(FirstPixel):
    classes = ("dog", "wolf")


def _tracking(scorer: Scorer) -> MemoryTracking:
    return MemoryTracking(models=[MODEL], scorers={MODEL.version: scorer})


def _predict(lake: MemoryLake, store: ObjectStore, **changes: object) -> PredictReport:
    asked = {"project": project_of(), "ledger": BatchedSamples(), "tracking": None, **changes}
    return predict_day(asked.pop("project"), day=DAY, lake=lake, store=store, decoder=BytePixels(), **asked)


def _rows(lake: MemoryLake) -> dict[str, dict[str, object]]:
    rows = lake.read(PREDICTIONS, partition=PARTITION).to_pylist()
    assert len({row["sample_id"] for row in rows}) == len(rows)
    return {row["sample_id"]: row for row in rows}


@pytest.fixture
def lake() -> MemoryLake:
    lake = MemoryLake()
    ingest(lake, [raw("a"), raw("b", day=DAY - timedelta(days=3)), raw("c"), raw("late", day=DAY + timedelta(days=1))])
    return lake


@pytest.fixture
def store() -> Folder:
    return Folder({f"{name}.d1": bytes([51 * i, 0, 0, 255]) for i, name in enumerate(["a", "b", "c"])})


def test_the_model_scores_the_pool_in_taxonomy_order(lake: MemoryLake, store: Folder) -> None:
    report = _predict(lake, store, tracking=_tracking(FirstPixel()))

    rows = _rows(lake)
    assert rows["b"]["probabilities"] == pytest.approx([0.8, 0.2, 0.0])
    assert rows["c"]["embedding"] == pytest.approx([0.4, 0.0, 0.0, 1.0])
    assert {row["model_version"] for row in rows.values()} == {"7"}
    assert (report.pool, report.written, report.scored, report.source) == (3, 3, 3, "model pets-model 7")


def test_before_any_model_rows_have_embeddings_and_no_probabilities(lake: MemoryLake, store: Folder) -> None:
    report = _predict(lake, store, tracking=MemoryTracking())

    assert (report.scored, report.model_version, report.source) == (0, None, "no model yet")
    assert all(row["probabilities"] is None and len(row["embedding"]) == 4 for row in _rows(lake).values())


def test_what_is_predicted_before_any_model_can_be_ranked_by_k_means(lake: MemoryLake, store: Folder) -> None:
    _predict(lake, store)

    report = rank_day(project_of(random_share=0.0), day=DAY, seed=1, lake=lake, ledger=BatchedSamples())

    assert (report.strategy, report.ranked) == ("kmeans", 3)


def test_only_the_newest_version_of_a_sample_is_scored(lake: MemoryLake) -> None:
    ingest(lake, [raw("b", digest="d0", day=DAY)])
    store = Folder({"a.d1": bytes(4), "b.d1": bytes(4), "c.d1": bytes(4), "b.d0": b"\xff" * 4})

    _predict(lake, store)

    assert _rows(lake)["b"]["digest"] == "d0"
    assert _rows(lake)["b"]["embedding"] == [1.0] * 4


def test_samples_in_a_batch_of_an_earlier_day_are_not_scored(lake: MemoryLake, store: Folder) -> None:
    ledger = BatchedSamples({"2026-11-22": [("a", "d1"), ("b", "other version")], DAY.isoformat(): [("c", "d1")]})

    _predict(lake, store, ledger=ledger)

    assert set(_rows(lake)) == {"b", "c"}


def test_objects_that_cannot_be_read_or_decoded_are_reported_and_left_out(lake: MemoryLake) -> None:
    store = Folder({"a.d1": bytes(4), "b.d1": b"x"})

    report = _predict(lake, store, tracking=_tracking(FirstPixel()))

    assert set(_rows(lake)) == {"a"}
    assert [(item.sample_id, item.reason) for item in report.unreadable] == [("b", "cut off"), ("c", "c.d1: gone")]


def test_an_empty_pool_replaces_the_days_predictions_by_nothing(lake: MemoryLake, store: Folder) -> None:
    _predict(lake, store)
    everything = BatchedSamples({"2026-11-01": [("a", "d1"), ("b", "d1"), ("c", "d1")]})

    report = _predict(lake, store, ledger=everything, tracking=_tracking(FirstPixel()))

    assert (report.pool, _rows(lake)) == (0, {})


def test_texts_are_scored_as_strings_and_broken_ones_are_reported() -> None:
    lake = MemoryLake()
    ingest(lake, [raw("a"), raw("b"), raw("c"), raw("d")])
    store = Folder({"a.d1": b"my cat", "b.d1": b"\xff\xfe", "c.d1": b"hoot", "d.d1": b"x" * 101})
    text = Scoring(model="pets-model", features="text", width=0, height=0, log_uri=None)

    report = _predict(lake, store, project=project_of(media="text", scoring=text), tracking=_tracking(WordCounter()))

    assert {name: row["probabilities"] for name, row in _rows(lake).items()} == {"a": [1, 0, 0], "c": [0, 0, 1]}
    assert [item.sample_id for item in report.unreadable] == ["b", "d"]
    assert len(_rows(lake)["a"]["embedding"]) == 64


def test_a_class_outside_the_taxonomy_is_refused(lake: MemoryLake, store: Folder) -> None:
    with pytest.raises(InvalidInput, match="found classes wolf, expected labels of the taxonomy: cat, dog, owl"):
        _predict(lake, store, tracking=_tracking(Stranger()))


def _log(**columns: object) -> Folder:
    body = BytesIO()
    pq.write_table(pa.table(columns), body)
    return Folder({f"{DAY.isoformat()}.parquet": body.getvalue()})


def _predict_log(lake: MemoryLake, logs: Folder | None) -> PredictReport:
    return _predict(lake, Folder({}), project=project_of(scoring=LOGGED), logs=logs)


def test_a_prediction_log_is_read_as_it_is(lake: MemoryLake) -> None:
    logs = _log(
        sample_id=["c", "stranger", "a"],
        p_owl=[0.1, 0.2, np.nan],
        p_cat=[0.7, 0.3, 0.5],
        p_dog=[0.2, 0.5, 0.5],
        model_version=["v1", "v1", "v1"],
    )

    report = _predict_log(lake, logs)

    rows = _rows(lake)
    assert rows["c"]["probabilities"] == [0.7, 0.2, 0.1]
    assert np.isnan(rows["a"]["probabilities"][2])
    assert rows["b"]["probabilities"] is None, "the log does not score it, but it stays in the pool"
    assert (report.unknown, report.missing, report.scored, report.model_version) == (1, 1, 2, "v1")


def test_a_log_may_hold_lists_and_embeddings(lake: MemoryLake) -> None:
    _predict_log(lake, _log(sample_id=["a"], probs=[[0.2, 0.3, 0.5]], embedding=[[1.0, 2.0]]))

    assert _rows(lake)["a"]["probabilities"] == [0.2, 0.3, 0.5]
    assert _rows(lake)["a"]["embedding"] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"p_cat": [1.0], "p_dog": [0.0]}, "found probabilities for cat, dog, expected one column p_<label>"),
        ({"p_cat": [1.0], "p_dog": [0.0], "p_owl": [0.0], "p_ox": [0.0]}, "found probabilities for cat, dog, owl, ox"),
        ({"probs": [[0.5, 0.5]]}, "found lists of \\[2\\] values in probs, expected 3"),
        ({"score": [0.5]}, "found probabilities for no class"),
    ],
)
def test_a_log_with_other_classes_than_the_taxonomy_is_refused_by_its_address(
    lake: MemoryLake, columns: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInput, match=f"mem://2026-11-23.parquet: {message}"):
        _predict_log(lake, _log(sample_id=["a"], **columns))


def test_a_log_with_a_sample_twice_is_refused(lake: MemoryLake) -> None:
    with pytest.raises(InvalidInput, match="found sample a more than once"):
        _predict_log(lake, _log(sample_id=["a", "a"], probs=[[0.2, 0.3, 0.5]] * 2))


def test_a_day_without_a_log_is_not_found(lake: MemoryLake) -> None:
    with pytest.raises(NotFound, match=r"2026-11-23\.parquet"):
        _predict_log(lake, Folder({}))


def test_a_declared_log_needs_its_store(lake: MemoryLake) -> None:
    with pytest.raises(InvalidInput, match="no store for it"):
        _predict_log(lake, None)


def test_a_log_that_fails_leaves_the_earlier_predictions(lake: MemoryLake, store: Folder) -> None:
    _predict(lake, store)
    before = _rows(lake)

    with pytest.raises(InvalidInput):
        _predict_log(lake, _log(sample_id=["a"], score=[1.0]))

    assert _rows(lake) == before


def test_predicting_a_day_again_gives_the_same_rows(lake: MemoryLake, store: Folder) -> None:
    _predict(lake, store, tracking=_tracking(FirstPixel()))
    before = lake.read(PREDICTIONS, partition=PARTITION)

    _predict(lake, store, tracking=_tracking(FirstPixel()))

    assert lake.read(PREDICTIONS, partition=PARTITION).equals(before)


def test_a_pool_larger_than_one_chunk_is_scored_whole() -> None:
    lake = MemoryLake(batch_rows=100)
    ingest(lake, [raw(f"s{i:04d}") for i in range(1100)])
    store = Folder({f"s{i:04d}.d1": bytes([i % 256] * 4) for i in range(1100)})

    report = _predict(lake, store, tracking=_tracking(FirstPixel()))

    assert report.scored == 1100
    assert _rows(lake)["s0900"]["probabilities"][1] == pytest.approx((900 % 256) / 255)


def test_audio_without_features_still_gives_rows_to_draw_from(lake: MemoryLake, store: Folder) -> None:
    project = project_of(scoring=replace(LOGGED, log_uri=None), media="audio")

    report = _predict(lake, store, project=project)

    assert (report.written, report.scored) == (3, 0)
