"""Gold labels and expected label shares as files: written whole or not at all, read with every fault named."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa

from annotation_ops.domain.errors import InvalidDocument, InvalidInput
from annotation_ops.domain.project.contract import TaskType
from annotation_ops.domain.project.strict_yaml import read_yaml
from annotation_ops.domain.quality.agreement.report import CATEGORICAL
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.quality.statistic import rounded
from annotation_ops.domain.records import JsonObject
from annotation_ops.services.judgement_files import read_text
from annotation_ops.services.prediction_files import write_rows
from annotation_ops.services.table_files import Kind, header, read_table, require

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""What a spreadsheet may run, also behind quotes that escape it already."""

SHARES_TOLERANCE = 1e-6
"""Shares written with a few digits sum to 1 only nearly."""


def escaped(cell: str) -> str:
    """A text that no spreadsheet takes for a formula; `unescaped` is its inverse on every text."""
    return "'" + cell if _FORMULA.match(cell) else cell


def unescaped(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def write_gold(
    answers: Iterable[FusedAnswer],
    path: Path,
    *,
    task_type: TaskType,
    method: str,
    versions: Mapping[str, str] | None = None,
) -> int:
    """Writes one row a task, in the order of the answers; gives their number.

    Columns: task_id; `label` of labels, `value` of texts and, as JSON, of everything else; confidence, agreement,
    n_annotators, needs_human, method, and one column for each of `versions`. Raises InvalidInput (suffix), NotFound (folder).
    """
    rows = list(answers)
    name = "label" if task_type in CATEGORICAL else "value"
    texts: dict[str, list[str | None]] = {
        "task_id": [answer.task_id for answer in rows],
        name: [_written(answer.value, task_type) for answer in rows],
    }
    if path.suffix == ".csv":
        texts = {key: [None if cell is None else escaped(cell) for cell in cells] for key, cells in texts.items()}
    columns = {
        **{key: pa.array(cells, pa.string()) for key, cells in texts.items()},
        "confidence": pa.array([rounded(answer.confidence) for answer in rows], pa.float64()),
        "agreement": pa.array([rounded(answer.agreement) for answer in rows], pa.float64()),
        "n_annotators": pa.array([answer.n_annotators for answer in rows], pa.int64()),
        "needs_human": pa.array([answer.needs_human for answer in rows], pa.bool_()),
        "method": pa.array([method] * len(rows), pa.string()),
        **{key: pa.array([version] * len(rows), pa.string()) for key, version in (versions or {}).items()},
    }
    write_rows(path, pa.table(columns))
    return len(rows)


def _written(value: JsonObject | None, task_type: TaskType) -> str | None:
    if value is None:
        return None
    if task_type in CATEGORICAL:
        return str(value["label"])
    return str(value["text"]) if task_type == "text" else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def read_gold(path: Path, *, task_type: TaskType) -> dict[str, JsonObject]:
    """Task -> known value, in the order of the file; rows that need a human, or have no value, are left out.

    Raises NotFound, InvalidInput (columns, a task twice, a value of another shape), UnsafeInput.
    """
    names = header(path)
    name = "label" if task_type in CATEGORICAL else "value"
    require(path, names, ("task_id", name))
    kinds: dict[str, Kind] = {"task_id": "id", name: "label" if name == "label" else "text"}
    if "needs_human" in names:
        kinds["needs_human"] = "flag"
    table = read_table(path, kinds)
    flags = table.column("needs_human").to_pylist() if "needs_human" in names else [False] * table.num_rows
    gold: dict[str, JsonObject] = {}
    first: dict[str, int] = {}
    try:
        columns = (table.column("task_id").to_pylist(), table.column(name).to_pylist(), flags)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: {error}; expected UTF-8 text.") from error
    for row, (task, value, needs_human) in enumerate(zip(*columns, strict=True), start=1):
        if not task:
            raise InvalidInput(f"{path}: row {row}: found task_id {task!r}, expected a text that is not empty.")
        task, value = (cell if path.suffix != ".csv" or cell is None else unescaped(cell) for cell in (task, value))
        if first.setdefault(task, row) != row:
            raise InvalidInput(
                f"{path}: row {row}: found task {task!r} a second time (the first is row {first[task]}), expected one "
                "gold answer each. Keep the right one."
            )
        if value is not None and not needs_human:
            gold[task] = _read(value, task_type, f"{path}: row {row}")
    return gold


def _read(value: str, task_type: TaskType, place: str) -> JsonObject:
    if task_type in CATEGORICAL:
        return {"label": value}
    if task_type == "text":
        return {"text": value}
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get(task_type), list):
        raise InvalidInput(f'{place}: found value {value!r:.60}, expected JSON such as {{"{task_type}": [...]}}.')
    return found


def read_mix(path: Path) -> dict[str, float]:
    """Label -> expected share, from a YAML or JSON mapping, or a CSV with the columns label and share.

    Raises NotFound, InvalidDocument (YAML or JSON that is broken), InvalidInput: a share that is no number from 0 to 1,
    a label twice, or shares that do not sum to 1.
    """
    pairs = _csv_shares(path) if path.suffix == ".csv" else _document_shares(path)
    for label, share in pairs.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 <= share <= 1.0:
            raise InvalidInput(f"{path}: {label}: found share {share!r}, expected a number from 0 to 1.")
    shares = {label: float(share) for label, share in pairs.items() if isinstance(share, int | float)}
    if abs(sum(shares.values()) - 1.0) > SHARES_TOLERANCE:
        raise InvalidInput(f"{path}: found shares that sum to {sum(shares.values()):g}, expected 1.")
    return shares


def _csv_shares(path: Path) -> dict[str, object]:
    require(path, header(path), ("label", "share"))
    table = read_table(path, {"label": "label", "share": "number"})
    pairs: dict[str, object] = {}
    for row, (label, share) in enumerate(zip(*(column.to_pylist() for column in table.columns), strict=True), start=1):
        if not label or label in pairs:
            raise InvalidInput(f"{path}: row {row}: found label {label!r}, expected each label once.")
        pairs[label] = share
    return pairs


def _document_shares(path: Path) -> dict[str, object]:
    content, faults = read_yaml(read_text(path), file=str(path))
    if faults:
        raise InvalidDocument(faults)
    if not isinstance(content, dict) or not content:
        raise InvalidInput(f"{path}: found {type(content).__name__}, expected a mapping of labels to shares.")
    return dict(content)
