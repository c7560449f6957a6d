"""Models are data. No model folder, whatever its author put into it, runs code here."""

import io
import os
import runpy
import zipfile
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from annotation_ops.adapters.mlops.skops_scorer import model_file, read_scorer
from annotation_ops.domain.errors import InvalidInput, NotFound, UnsafeInput
from annotation_ops.ports.model_tracking import ModelVersion, Scorer
from annotation_ops_tests.adapters.mlops.mlflow_bench import SQLALCHEMY_21, MlflowBench
from annotation_ops_tests.contracts.model_tracking import MODEL

pytestmark = SQLALCHEMY_21

IRIS, SPECIES = load_iris(return_X_y=True)

HONEST = """
flavors:
  python_function: {loader_module: mlflow.sklearn, model_path: model.skops, predict_fn: predict}
  sklearn: {code: null, pickled_model: model.skops, serialization_format: skops}
"""


def honest_model() -> bytes:
    return bytes(skops.io.dumps(make_pipeline(StandardScaler(), LogisticRegression()).fit(IRIS, SPECIES)))


def folder(bench: MlflowBench, description: str, files: dict[str, bytes]) -> Path:
    path = bench.artifacts / "model"
    path.mkdir(parents=True)
    (path / "MLmodel").write_text(description)
    for name, body in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(body)
    return path


def load(bench: MlflowBench) -> Scorer:
    bench.register_folder("model")
    latest = bench.tracking.latest_model(MODEL)
    assert isinstance(latest, ModelVersion)
    return bench.tracking.load_scorer(latest)


def test_an_honest_model_scores_as_it_did_where_it_was_trained(mlflow_bench: MlflowBench) -> None:
    folder(mlflow_bench, HONEST, {"model.skops": honest_model()})

    scorer = load(mlflow_bench)

    trained = make_pipeline(StandardScaler(), LogisticRegression()).fit(IRIS, SPECIES)
    assert scorer.classes == ("0", "1", "2")
    assert np.allclose(scorer.predict_proba(IRIS), trained.predict_proba(IRIS))


def test_a_text_model_takes_strings() -> None:
    texts = ["a good film", "a bad film", "good", "bad"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, ["pos", "neg", "pos", "neg"])

    scorer = read_scorer(skops.io.dumps(model), where="m")

    scores = scorer.predict_proba(["good good", "bad"])
    assert scorer.classes == ("neg", "pos")
    assert scores.argmax(axis=1).tolist() == [1, 0]
    assert np.allclose(scores.sum(axis=1), 1)


def test_features_of_another_shape_are_refused() -> None:
    scorer = read_scorer(honest_model(), where="m")

    with pytest.raises(InvalidInput, match="does not take these features"):
        scorer.predict_proba(np.zeros((2, 7)))


def test_a_model_without_probabilities_is_refused() -> None:
    with pytest.raises(InvalidInput, match="found a StandardScaler"):
        read_scorer(skops.io.dumps(StandardScaler().fit(IRIS)), where="m")


class Touch:
    """Unpickling it leaves a file behind."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.marker),)


def compressed_pickle(marker: Path) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(Touch(marker), buffer, compress=3)
    return buffer.getvalue()


def with_member(model: bytes, body: bytes) -> bytes:
    """The same archive, its first array replaced."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(model)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        target = next(name for name in old.namelist() if name.endswith(".npy"))
        for name in old.namelist():
            new.writestr(name, body if name == target else old.read(name))
    return buffer.getvalue()


def pickled_array(marker: Path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Touch(marker)], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def lying_array(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + b"\0" * 64


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        zeros = b"\0" * (64 << 20)
        for part in range(9):
            archive.writestr(f"{part}.bin", zeros)
    return buffer.getvalue()


def foreign_function() -> bytes:
    return bytes(skops.io.dumps(FunctionTransformer(func=os.mkdir)))


def flavors(sklearn: str, pyfunc: str = "{loader_module: mlflow.sklearn}") -> str:
    return f"flavors:\n  python_function: {pyfunc}\n  sklearn: {sklearn}\n"


EVIL_CODE = "import os; os.mkdir({marker!r})\n"
SKOPS = "serialization_format: skops"


@pytest.mark.parametrize(
    "description",
    [
        pytest.param(
            flavors(f"{{{SKOPS}, pickled_model: model.skops}}", "{loader_module: evil, code: code}"), id="loader"
        ),
        pytest.param("flavors: {python_function: {loader_module: evil, code: code}}", id="no sklearn flavor"),
        pytest.param(flavors(f"{{{SKOPS}, pickled_model: model.skops, code: code}}"), id="code"),
        pytest.param(flavors("{serialization_format: pickle, pickled_model: model.pkl}"), id="pickle"),
        pytest.param(flavors("{serialization_format: cloudpickle, pickled_model: model.pkl}"), id="cloudpickle"),
        pytest.param(flavors("{pickled_model: model.pkl}"), id="no format"),
        pytest.param(flavors(f"{{{SKOPS}, pickled_model: ../outside.skops}}"), id="traversal"),
        pytest.param(flavors(f"{{{SKOPS}, pickled_model: code/evil.skops}}"), id="subfolder"),
        pytest.param(flavors(f"{{{SKOPS}, pickled_model: /etc/passwd}}"), id="absolute"),
        pytest.param(flavors(f"{{{SKOPS}, pickled_model: '..\\outside.skops'}}"), id="backslash"),
        pytest.param(flavors(f"{{{SKOPS}, pickled_model: ..}}"), id="parent"),
        pytest.param(flavors(f"{{{SKOPS}, pickled_model: [model.skops]}}"), id="list"),
        pytest.param("flavors: !!python/object/apply:os.mkdir ['MARKER']", id="yaml tag"),
        pytest.param("flavors: " + "[" * 5000, id="deep yaml"),
        pytest.param("- nothing", id="another document"),
    ],
)
def test_a_folder_that_brings_code_or_points_elsewhere_is_refused_and_nothing_runs(
    mlflow_bench: MlflowBench, tmp_path: Path, description: str
) -> None:
    marker = tmp_path / "marker"
    code = EVIL_CODE.format(marker=str(marker)).encode()
    folder(
        mlflow_bench,
        description.replace("MARKER", str(marker)),
        {
            "code/evil.py": code,
            "code/evil.skops": honest_model(),
            "../outside.skops": honest_model(),
            "evil.py": code,
            "model.skops": honest_model(),
            "model.pkl": compressed_pickle(marker),
        },
    )

    with pytest.raises(UnsafeInput, match="MLmodel: found"):
        load(mlflow_bench)

    assert not marker.exists()


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(compressed_pickle, id="pickle under another name"),
        pytest.param(lambda marker: with_member(honest_model(), pickled_array(marker)), id="pickle inside an array"),
        pytest.param(lambda _: foreign_function(), id="foreign function"),
        pytest.param(lambda _: with_member(honest_model(), lying_array((1 << 40,))), id="8 TiB array"),
        pytest.param(lambda _: with_member(honest_model(), lying_array((1 << 33, 1 << 33))), id="overflowing array"),
        pytest.param(lambda _: with_member(honest_model(), honest_model()), id="archive in the archive"),
        pytest.param(lambda _: bomb(), id="bomb"),
        pytest.param(lambda _: honest_model()[:-200], id="cut off"),
        pytest.param(lambda _: b"", id="empty"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused_and_nothing_runs(
    mlflow_bench: MlflowBench, tmp_path: Path, build: Callable[[Path], bytes]
) -> None:
    marker = tmp_path / "marker"
    folder(mlflow_bench, HONEST, {"model.skops": build(marker)})

    with pytest.raises(UnsafeInput):
        load(mlflow_bench)

    assert not marker.exists()


def test_the_evil_parts_of_these_tests_do_run_where_they_are_trusted(tmp_path: Path) -> None:
    """Otherwise a missing marker would prove nothing."""
    joblib.load(io.BytesIO(compressed_pickle(tmp_path / "by-pickle")))
    np.load(io.BytesIO(pickled_array(tmp_path / "by-array")), allow_pickle=True)
    (tmp_path / "evil.py").write_text(EVIL_CODE.format(marker=str(tmp_path / "by-code")))
    runpy.run_path(str(tmp_path / "evil.py"))

    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"by-pickle", "by-array", "by-code"}


def test_a_declared_file_that_is_missing_is_not_found(mlflow_bench: MlflowBench) -> None:
    folder(mlflow_bench, HONEST, {"other.skops": honest_model()})

    with pytest.raises(NotFound, match=r"expected a file model\.skops"):
        load(mlflow_bench)


def test_an_absurdly_long_description_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(UnsafeInput, match="at most 1048576"):
        model_file(b" " * (1 << 21), where="m")
