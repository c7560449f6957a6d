"""Files of judgements, Parquet, CSV or JSON lines by suffix, as the judgements of a task type."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from annotation_ops.domain.errors import InvalidDocument, InvalidInput, NotFound
from annotation_ops.domain.project.contract import TaskType
from annotation_ops.domain.project.taxonomy import parse_taxonomy
from annotation_ops.domain.quality.agreement.measure import STRUCTURED, AnyJudgements
from annotation_ops.domain.quality.agreement.report import CATEGORICAL
from annotation_ops.domain.quality.judgements import FloatArray, Judgements
from annotation_ops.domain.records import JsonObject
from annotation_ops.services.table_files import Kind, header, read_table, require

KEYS: Mapping[str, Kind] = {"task_id": "id", "annotator_id": "label"}
COLUMNS: Mapping[str, Mapping[str, Kind]] = {
    "classification": {"label": "label"},
    "ordinal": {"label": "label"},
    "boxes": {"label": "label", "x_min": "number", "y_min": "number", "x_max": "number", "y_max": "number"},
    "polygons": {"label": "label", "points": "points"},
    "masks": {"label": "label", "height": "number", "width": "number", "counts": "numbers"},
    "spans": {"label": "label", "start": "number", "end": "number"},
    "text": {"value": "text"},
}
"""What each task type has beside the keys."""

SHAPES = ("boxes", "polygons", "masks")


@dataclass(frozen=True, slots=True)
class JudgementTable:
    """The rows of a file that a task type needs, as they are."""

    path: Path
    task_type: TaskType
    columns: Mapping[str, pa.ChunkedArray] = field(repr=False)
    hint: str
    """What else the file could be, for messages; empty when it can be nothing else."""

    @property
    def n_rows(self) -> int:
        return len(self.columns["task_id"])

    def labels(self) -> tuple[str, ...]:
        """The different labels, sorted; none for texts. Raises InvalidInput when one is not UTF-8."""
        if "label" not in self.columns:
            return ()
        found = pc.unique(self.columns["label"])
        found = found.dictionary_decode() if pa.types.is_dictionary(found.type) else found
        try:
            return tuple(sorted(label for label in found.to_pylist() if label is not None))
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{self.path}: column label: {error}; expected UTF-8 text.") from error

    def of_annotators(self, annotators: Collection[str]) -> "JudgementTable":
        """The rows of these annotators only."""
        mine = pc.is_in(
            self.columns["annotator_id"].cast(pa.string()), value_set=pa.array(sorted(annotators), pa.string())
        )
        return replace(self, columns={name: values.filter(mine) for name, values in self.columns.items()})

    def answers(self, tasks: Collection[str]) -> list[tuple[str, str, JsonObject]]:
        """(task_id, annotator_id, value) of these tasks, the values as an annotation platform gives them."""
        chosen = pc.is_in(self.columns["task_id"].cast(pa.string()), value_set=pa.array(sorted(tasks), pa.string()))
        table = pa.table({name: values.filter(chosen) for name, values in self.columns.items()})
        rows = [(row.pop("task_id"), row.pop("annotator_id"), row) for row in table.to_pylist()]
        if self.task_type in CATEGORICAL:
            return rows
        if self.task_type == "text":
            return [(task, annotator, {"text": row["value"]}) for task, annotator, row in rows]
        found: dict[tuple[str, str], list[JsonObject]] = {}
        for task, annotator, row in rows:
            of_answer = found.setdefault((task, annotator), [])
            if (shape := _shape(row)) is not None:
                of_answer.append(shape)
        return [(task, annotator, {self.task_type: shapes}) for (task, annotator), shapes in found.items()]

    def judgements(self, *, categories: Sequence[str]) -> AnyJudgements:
        """Raises InvalidInput, naming file and row, for whatever the judgements of the task type refuse."""
        try:
            return self._judgements(categories)
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{self.path}: {error}; expected UTF-8 text.") from error
        except InvalidInput as error:
            raise InvalidInput(f"{self.path}: {error}{self.hint}") from error

    def _judgements(self, categories: Sequence[str]) -> AnyJudgements:
        tasks, annotators = (self.columns[name] for name in KEYS)
        if self.task_type in CATEGORICAL:
            return Judgements.from_columns(tasks, annotators, self.columns["label"], categories=categories)
        kind = STRUCTURED[self.task_type]
        rest = {name: self.columns[name] for name in COLUMNS[self.task_type]}
        if self.task_type not in SHAPES:
            return kind.from_columns(tasks, annotators, rest, categories=categories)
        plain = {name: _plain(values) for name, values in rest.items()}
        return kind.from_columns(_plain(tasks), _plain(annotators), plain, categories=categories)


def _shape(row: JsonObject) -> JsonObject | None:
    """One row as a shape or span; None where all but the label is null: looked, found none."""
    label = row.pop("label")
    if all(cell is None for cell in row.values()):
        return None
    if "counts" in row:
        return {"label": label, "size": [_cell(row["height"]), _cell(row["width"])], "counts": _cell(row["counts"])}
    return {"label": label, **{name: _cell(cell) for name, cell in row.items()}}


def _cell(cell: object) -> object:
    """Lists written as JSON, and numbers without a fraction as whole ones: offsets and sizes are those."""
    if isinstance(cell, list):
        return [_cell(one) for one in cell]
    if isinstance(cell, str):
        return json.loads(cell)
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell


def read_judgements(path: Path, *, task_type: TaskType) -> JudgementTable:
    """The rows of a judgement file. Further columns, such as `created_at`, are not read.

    Raises NotFound, InvalidInput (suffix, columns, types, not UTF-8, no rows), UnsafeInput (a decompression bomb).
    """
    names = header(path)
    other = _other_type(names, task_type)
    hint = f" The file has the columns of {other}: did you mean --task-type {other}?" if other else ""
    kinds = {**KEYS, **COLUMNS[task_type]}
    require(path, names, list(kinds), hint=hint)
    if task_type in CATEGORICAL and other in SHAPES:
        more = ", ".join(list(COLUMNS[other])[1:])
        raise InvalidInput(f"{path}: found columns {more} beside label, expected label alone.{hint}")
    table = read_table(path, kinds)
    columns = {name: table.column(name) for name in kinds}
    if path.suffix == ".csv" and task_type == "text":
        # Most writers of CSV do not tell an empty text from none: nothing to write down is an answer.
        columns["value"] = columns["value"].fill_null("")
    return JudgementTable(path, task_type, columns, hint)


def _other_type(names: Sequence[str], task_type: TaskType) -> str:
    """The task type with the most columns that the file fits, unless it is the one asked for."""
    fitting = [other for other, columns in COLUMNS.items() if set(columns) <= set(names) and other != "ordinal"]
    best = max(fitting, key=lambda other: len(COLUMNS[other]), default="")
    same = best in CATEGORICAL and task_type in CATEGORICAL
    return "" if same or best == task_type else best


def _plain(values: pa.ChunkedArray) -> npt.NDArray[np.object_] | npt.NDArray[np.float64]:
    """Numbers with NaN for what is missing; else Python values with None."""
    if pa.types.is_floating(values.type):
        numbers: npt.NDArray[np.float64] = values.to_numpy()
        return numbers
    return np.fromiter(values.to_pylist(), dtype=object, count=len(values))


@dataclass(frozen=True, slots=True)
class Categories:
    """The categories of an analysis, and where they come from."""

    names: tuple[str, ...]
    source: str
    """`taxonomy`, `--categories`, `labels found`, or `none` for texts."""


def categories_of(table: JudgementTable, *, taxonomy: Path | None = None, named: str | None = None) -> Categories:
    """From a taxonomy document, else a list with commas between, else the sorted labels of the file.

    Raises InvalidDocument for a taxonomy with faults, InvalidInput when both are given, or neither for ordinal labels,
    whose order no file of judgements can tell.
    """
    if taxonomy is not None and named is not None:
        raise InvalidInput("found --taxonomy and --categories, expected one of the two.")
    if taxonomy is not None:
        parsed = parse_taxonomy(read_text(taxonomy), file=str(taxonomy))
        if parsed.record is None:
            raise InvalidDocument(parsed.faults)
        return Categories(parsed.record.names, "taxonomy")
    if named is not None:
        return Categories(tuple(name.strip() for name in named.split(",")), "--categories")
    if table.task_type == "text":
        return Categories((), "none")
    if table.task_type == "ordinal":
        raise InvalidInput(
            f"{table.path}: found no order of the labels {', '.join(table.labels()[:20])}, expected one for ordinal "
            "judgements. Name it with --taxonomy FILE or --categories low,middle,high."
        )
    if not table.labels():
        raise InvalidInput(
            f"{table.path}: found no label in any row. Name the categories with --taxonomy or --categories."
        )
    return Categories(table.labels(), "labels found")


def read_cohorts(path: Path) -> dict[str, str]:
    """Annotator -> cohort, from the columns annotator_id and cohort. Raises InvalidInput, also on an annotator twice."""
    require(path, header(path), ("annotator_id", "cohort"))
    table = read_table(path, {"annotator_id": "id", "cohort": "id"})
    cohorts: dict[str, str] = {}
    for row, (annotator, cohort) in enumerate(zip(*(column.to_pylist() for column in table.columns), strict=True), 1):
        if not annotator or not cohort:
            raise InvalidInput(f"{path}: row {row}: found annotator {annotator!r}, cohort {cohort!r}, expected both.")
        if annotator in cohorts:
            raise InvalidInput(
                f"{path}: row {row}: found annotator {annotator!r} a second time, expected one cohort each."
            )
        cohorts[annotator] = cohort
    return cohorts


def read_class_probabilities(path: Path, judgements: Judgements) -> FloatArray:
    """A model's probabilities for the tasks of the judgements, (n_tasks, n_categories); NaN rows where it has none.

    The file has `sample_id`, equal to the task id, and one column `p_<category>` a category; further samples are left
    out. Raises InvalidInput, also on a sample twice.
    """
    columns = {f"p_{name}": name for name in judgements.categories}
    require(path, header(path), ("sample_id", *columns))
    table = read_table(path, {"sample_id": "id", **dict.fromkeys(columns, "number")})
    ids = table.column("sample_id")
    if len(pc.unique(ids)) < len(ids):
        raise InvalidInput(f"{path}: found a sample_id more than once, expected each sample once.")
    row = pc.index_in(pa.array(judgements.tasks, pa.string()), value_set=ids)
    known = row.is_valid().to_numpy(zero_copy_only=False)
    if not known.any():
        raise InvalidInput(f"{path}: found none of the {len(judgements.tasks)} tasks, expected their ids as sample_id.")
    probabilities = np.full((len(judgements.tasks), len(columns)), np.nan)
    at = row.drop_null().to_numpy()
    for place, name in enumerate(columns):
        probabilities[known, place] = table.column(name).to_numpy()[at]
    return probabilities


def read_text(path: Path) -> str:
    """Raises NotFound, and InvalidInput when the file is not UTF-8."""
    if not path.is_file():
        raise NotFound(f"{path}: found no file. Check the path.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: {error}; expected UTF-8 text.") from error
