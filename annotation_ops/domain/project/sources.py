"""Where raw data and scores come from."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal, cast, get_args

from annotation_ops.domain.project.reading import Parsed, Reader, parse_document

Features = Literal["pixels", "text"]

_SEGMENT = r"(?!\.{1,2}(?:/|$))[\w.=@+-]+"
_BUCKET = rf"s3://[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9](?:/{_SEGMENT})*/?"
_URI = re.compile(rf"(?:{_BUCKET}|file:///(?:{_SEGMENT}/?)*|{_SEGMENT}(?:/{_SEGMENT})*/?)")
_URI_WORDS = "s3://bucket/prefix, file:///folder or a path below the data root, without .."
_DAY_PREFIX = re.compile(r"(?:%[YmdjHyb%]|[\w.=-]|(?<!/)/)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class RawSource:
    uri: str
    """`s3://bucket/prefix`, `file:///...` or a path relative to the data root (ANNOTATION_OPS_DATA)."""
    start: date
    """First daily partition."""
    day_prefix: str
    """strftime pattern under the prefix that holds one day's objects, e.g. `%Y-%m-%d/`; "" = by modification time."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """Scores by a registered model, or a prediction log as it is (one of the two)."""

    model: str | None
    """Registered model name."""
    features: Features | None
    width: int
    height: int
    """Images are scored as width x height grey pixels, row-major, 0..1."""
    log_uri: str | None
    """Folder or bucket prefix with `<day>.parquet` prediction logs, shape of docs/interface.md."""


@dataclass(frozen=True, slots=True)
class Sources:
    version: str
    raw: RawSource
    scoring: Scoring


def parse_sources(text: str, *, file: str = "sources.yaml") -> Parsed[Sources]:
    """`sources.yaml` as a record, or every fault in it."""
    return parse_document(text, _read, file=file)


def _read(reader: Reader) -> Sources:
    return Sources(version=reader.version(), raw=_read_raw(reader), scoring=_read_scoring(reader))


def _read_raw(document: Reader) -> RawSource:
    reader = document.section("raw")
    if reader is None:
        return RawSource(uri="", start=date.min, day_prefix="")
    prefix = reader.matching("day_prefix", _DAY_PREFIX, "a pattern such as '%Y-%m-%d/', or ''", default="%Y-%m-%d/")
    if prefix and not _names_one_day(prefix):
        reader.wrong("day_prefix", "a pattern that names one day (%Y, %m and %d), such as '%Y-%m-%d/', or ''")
    raw = RawSource(
        uri=reader.matching("uri", _URI, _URI_WORDS),
        start=reader.day("start"),
        day_prefix=prefix,
    )
    reader.close()
    return raw


def _names_one_day(prefix: str) -> bool:
    directives = set(re.findall(r"%(.)", prefix))
    day = {"m", "d"} <= directives or "j" in directives
    return "Y" in directives and day and not prefix.startswith("/") and ".." not in prefix


def _read_scoring(document: Reader) -> Scoring:
    nothing = Scoring(model=None, features=None, width=0, height=0, log_uri=None)
    reader = document.section("scoring")
    if reader is None:
        return nothing
    by_model, by_log = reader.has("model"), reader.has("log_uri")
    if by_model == by_log:
        found = "both a model and a log_uri" if by_model else "neither a model nor a log_uri"
        reader.fault("", found, "one of the two", "Name a registered model, or the place of its prediction log.")
        reader.ignore("features", "width", "height")
        scoring = nothing
    elif by_model:
        scoring = _read_model(reader)
    else:
        log_uri = reader.matching("log_uri", _URI, _URI_WORDS)
        scoring = Scoring(model=None, features=None, width=0, height=0, log_uri=log_uri)
    reader.close()
    return scoring


def _read_model(reader: Reader) -> Scoring:
    model = reader.identifier("model")
    features = cast("Features", reader.choice("features", get_args(Features)))
    sized = features == "pixels"
    return Scoring(
        model=model,
        features=features,
        width=reader.integer("width", low=1, high=4096) if sized else 0,
        height=reader.integer("height", low=1, high=4096) if sized else 0,
        log_uri=None,
    )
