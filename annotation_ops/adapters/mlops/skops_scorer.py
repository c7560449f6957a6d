"""Loading a scikit-learn model without running anything its author wrote.

A model folder may name a loader module, ship code and hold pickles; MLflow's own loader runs them, even with pickles
switched off. So MLflow never loads a model here: the `MLmodel` file is read as data, it must name one skops file, and that
file is decoded only when skops' own audit finds nothing beyond the types it trusts (scikit-learn, NumPy, SciPy).
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Protocol, cast

import numpy as np
import yaml
from numpy.typing import NDArray

from annotation_ops.domain.errors import InvalidInput, UnsafeInput
from annotation_ops.ports.model_tracking import Scorer

MAX_DESCRIPTION_BYTES = 1 << 20
"""1 MiB: a real MLmodel file has about 1 kB, with a long signature 100 kB."""

MAX_MODEL_BYTES = 512 << 20
"""512 MiB, before and after decompression: a forest of 500 trees on 1 M samples has about 300 MB."""

MAX_MEMBERS = 100_000
"""Arrays in one model: each tree of a forest adds two."""

_MALFORMED = (
    ArithmeticError, AttributeError, ImportError, LookupError, MemoryError, NotImplementedError, OSError, RecursionError,
    TypeError, ValueError, zipfile.BadZipFile,
)  # fmt: skip
"""What skops, zipfile and NumPy raise on a file that does not hold what it says."""


class _Classifier(Protocol):
    def predict_proba(self, features: NDArray[np.float64] | Sequence[str]) -> NDArray[np.float64]: ...


class SkopsScorer(Scorer):
    def __init__(self, estimator: _Classifier, *, classes: tuple[str, ...]) -> None:
        self._estimator = estimator
        self.classes = classes

    def predict_proba(self, features: NDArray[np.float64] | Sequence[str]) -> NDArray[np.float64]:
        """Raises InvalidInput when the features do not have the shape the model was trained on."""
        try:
            scores = self._estimator.predict_proba(features)
        except ValueError as error:
            raise InvalidInput(f"the model does not take these features: {error}") from error
        return np.asarray(scores, dtype=np.float64)


def model_file(description: bytes, *, where: str) -> str:
    """The name of the skops file that an `MLmodel` file declares. Raises UnsafeInput for everything else."""
    if len(description) > MAX_DESCRIPTION_BYTES:
        raise UnsafeInput(f"{where}/MLmodel: found {len(description)} bytes, expected at most {MAX_DESCRIPTION_BYTES}")
    try:
        flavors = yaml.safe_load(description)["flavors"]
        sklearn, pyfunc = flavors["sklearn"], flavors.get("python_function", {})
        declared = (sklearn.get("serialization_format"), sklearn.get("code"), pyfunc.get("code"))
        loader, name = pyfunc.get("loader_module", "mlflow.sklearn"), sklearn["pickled_model"]
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnsafeInput(
            f"{where}/MLmodel: found no scikit-learn model ({type(error).__name__}: {error}), expected flavor sklearn. "
            "Log it with mlflow.sklearn.log_model(..., serialization_format='skops')."
        ) from error
    if declared[0] != "skops":
        raise UnsafeInput(
            f"{where}/MLmodel: found serialization_format {declared[0]!r}, expected 'skops': a pickle runs its author's code. "
            "Log it with mlflow.sklearn.log_model(..., serialization_format='skops')."
        )
    if loader != "mlflow.sklearn" or declared[1] or declared[2]:
        raise UnsafeInput(
            f"{where}/MLmodel: found loader_module {loader!r} and code {declared[1] or declared[2]!r}, expected "
            "'mlflow.sklearn' and none: code that comes with a model is not run. Log the bare estimator."
        )
    if not isinstance(name, str) or name in {"", ".", ".."} or PurePosixPath(name).name != name or "\\" in name:
        raise UnsafeInput(f"{where}/MLmodel: found model file {name!r}, expected a plain name inside the folder")
    return name


def read_scorer(data: bytes, *, where: str) -> Scorer:
    """Decodes a skops file. Raises UnsafeInput for foreign types, absurd sizes or damage; InvalidInput without probabilities."""
    _check_sizes(data, where=where)
    import skops.io

    try:
        foreign = skops.io.get_untrusted_types(data=data)
        if foreign:
            raise UnsafeInput(
                f"{where}: found types {', '.join(foreign[:5])}, expected only those skops trusts of scikit-learn, NumPy and "
                "SciPy. Train with plain scikit-learn parts, without own functions."
            )
        estimator = skops.io.loads(data, trusted=[])
    except _MALFORMED as error:
        raise UnsafeInput(f"{where}: no readable skops file ({type(error).__name__}: {error})") from error
    return _as_scorer(estimator, where=where)


def _as_scorer(estimator: object, *, where: str) -> Scorer:
    from sklearn.base import BaseEstimator

    classes = getattr(estimator, "classes_", None)
    if not isinstance(estimator, BaseEstimator) or classes is None or not hasattr(estimator, "predict_proba"):
        raise InvalidInput(
            f"{where}: found a {type(estimator).__name__}, expected a fitted classifier with predict_proba and classes_"
        )
    return SkopsScorer(cast(_Classifier, estimator), classes=tuple(str(name) for name in np.asarray(classes).tolist()))


def _check_sizes(data: bytes, *, where: str) -> None:
    """Refuses archives that unpack to more than they may, before anything is unpacked."""
    if len(data) > MAX_MODEL_BYTES:
        raise UnsafeInput(f"{where}: found {len(data)} bytes, expected at most {MAX_MODEL_BYTES}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            unpacked = sum(member.file_size for member in members)
            if len(members) > MAX_MEMBERS or unpacked > MAX_MODEL_BYTES:
                raise UnsafeInput(
                    f"{where}: found {len(members)} members of {unpacked} bytes unpacked, expected at most {MAX_MEMBERS} "
                    f"of {MAX_MODEL_BYTES}"
                )
            for member in members:
                _check_member(archive, member, where=where)
    except (*_MALFORMED, EOFError) as error:
        raise UnsafeInput(f"{where}: no readable skops file ({type(error).__name__}: {error})") from error


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, *, where: str) -> None:
    """NumPy reserves the memory an array header asks for before it reads a byte, so the header must fit the member."""
    with archive.open(member) as stream:
        magic = stream.read(6)
        if magic.startswith(b"PK"):
            raise UnsafeInput(f"{where}: {member.filename} is an archive inside the archive. Save dense coefficients.")
        if magic != b"\x93NUMPY":
            return
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        readers: Mapping[tuple[int, int], object] = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        reader = readers.get(version)
        if not callable(reader):
            raise UnsafeInput(f"{where}: {member.filename} has array format {version}, expected 1.0 or 2.0")
        shape, _, dtype = reader(stream)
        wanted = stream.tell() + int(np.prod([int(size) for size in shape], dtype=object)) * dtype.itemsize
    if wanted != member.file_size or dtype.hasobject:
        raise UnsafeInput(
            f"{where}: {member.filename} announces {wanted} bytes of {dtype}, found {member.file_size}: damaged or hostile"
        )
