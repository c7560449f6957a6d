"""The folder that `annotation-ops init` writes: templates, and what goes into them for a task type and a kind of media."""

from collections.abc import Mapping
from importlib import resources
from string import Template

DEFAULT_MEDIA = {"spans": "text", "text": "text"}
"""Task type -> media when none is asked for; image for the others."""

_MEDIA_TYPES = {
    "image": "image/png, image/jpeg",
    "text": "text/plain",
    "audio": "audio/wav, audio/mpeg, audio/flac",
    "video": "video/mp4",
}
_SHAPES = ("object",)
_LABELS: Mapping[str, tuple[str, ...]] = {
    "classification": ("label_a", "label_b"),
    "ordinal": ("low", "medium", "high"),
    "boxes": _SHAPES,
    "polygons": _SHAPES,
    "masks": _SHAPES,
    "spans": ("person", "place"),
    "text": (),
}
_STATISTICS = {
    "classification": "krippendorff_alpha_nominal",
    "ordinal": "krippendorff_alpha_ordinal",
    "spans": "span_f1_overlap",
    "text": "exact_match",
}
_STATISTIC_OF_SHAPES = "mean_iou_penalised"
_LOGS = "\n  log_uri: ${name}/predictions # <day>.parquet prediction logs; or a registered model: model, features"
_SCORING = {
    "image": "\n  model: ${name}-model # in the model registry; or log_uri: prediction logs\n"
    "  features: pixels\n  width: 32\n  height: 32",
    "text": "\n  model: ${name}-model # in the model registry; or log_uri: prediction logs\n  features: text",
}


def render(name: str, *, task_type: str, media: str) -> dict[str, str]:
    """Path below the new folder -> text of the file."""
    values = _values(name, task_type=task_type, media=media)
    here = resources.files(__name__)
    files = {file: here.joinpath(file).read_text(encoding="utf-8") for file in ("dagster.yaml", "workspace.yaml")}
    for template in here.joinpath("project").iterdir():
        text = Template(template.read_text(encoding="utf-8")).substitute(values)
        files[f"projects/{name}/{template.name}"] = text
    return files


def _values(name: str, *, task_type: str, media: str) -> dict[str, str]:
    statistic = _STATISTICS.get(task_type, _STATISTIC_OF_SHAPES)
    return {
        "name": name,
        "task_type": task_type,
        "media": media,
        "media_types": _MEDIA_TYPES[media],
        "ordered": "true" if task_type == "ordinal" else "false",
        "labels": "".join(_label(label) for label in _LABELS[task_type]) or " [] # free text needs none",
        "statistic": statistic,
        "threshold": "0.80" if statistic == _STATISTIC_OF_SHAPES else "0.85",
        "scoring": Template(_SCORING.get(media, _LOGS)).substitute(name=name),
    }


def _label(name: str) -> str:
    return f"\n  - name: {name}\n    description: Say when this is the answer.\n    critical: false"
