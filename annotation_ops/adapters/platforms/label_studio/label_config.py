"""What people see in Label Studio: the labelling interface of a task type, and the guideline beside it."""

from hashlib import sha256
from xml.sax.saxutils import quoteattr

from markdown_it import MarkdownIt

from annotation_ops.domain.errors import Unsupported
from annotation_ops.domain.quality.agreement.report import CATEGORICAL
from annotation_ops.ports.annotation_platform import PlatformProjectSpec

CONTROL = "label"
"""`from_name` of every answer."""
OBJECT = "sample"
"""`to_name` of every answer."""

_OBJECT_TAGS = {"image": "Image", "text": "Text", "audio": "Audio", "video": "Video"}
_SHAPE_TAGS = {"boxes": "RectangleLabels", "polygons": "PolygonLabels", "spans": "Labels"}
_MEDIA_OF = {"boxes": ("image",), "polygons": ("image",), "spans": ("text",)}
"""Task types that need a certain medium."""


def label_config(spec: PlatformProjectSpec) -> str:
    """The XML of the interface; the same spec always gives the same text. Raises Unsupported for masks and odd media."""
    if spec.media not in _MEDIA_OF.get(spec.task_type, tuple(_OBJECT_TAGS)):
        raise Unsupported(
            f"{spec.name}: found {spec.task_type} on {spec.media}, expected {' or '.join(_MEDIA_OF[spec.task_type])} for it"
        )
    shown, asked = _shown(spec), _asked(spec)
    # Options stand above the medium, where a tall picture cannot push them out of sight; a text is written below it.
    first, second = (shown, asked) if spec.task_type == "text" else (asked, shown)
    return f"<View>\n  {first}\n  {second}\n</View>"


def config_hash(spec: PlatformProjectSpec) -> str:
    """12 hex that differ whenever what people can answer differs."""
    return short_hash(label_config(spec))


def short_hash(text: str) -> str:
    """12 hex: enough to see that a text is another one."""
    return sha256(text.encode()).hexdigest()[:12]


def instructions_html(markdown: str) -> str:
    """The guideline as HTML; markup inside the Markdown is shown as text, never run."""
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown))


def _shown(spec: PlatformProjectSpec) -> str:
    tag = _OBJECT_TAGS[spec.media]
    extra = {"Image": ' zoom="true"', "Text": ' valueType="text"'}.get(tag, "")
    return f'<{tag} name="{OBJECT}" value="${spec.media}"{extra}/>'


def _asked(spec: PlatformProjectSpec) -> str:
    to = f'name="{CONTROL}" toName="{OBJECT}"'
    if spec.task_type in CATEGORICAL:
        choices = _options("Choice", spec.labels)
        return f'<Choices {to} choice="single" required="true" showInline="true">\n{choices}\n  </Choices>'
    if spec.task_type == "text":
        return f'<TextArea {to} required="true" maxSubmissions="1" editable="true" rows="4"/>'
    if spec.task_type not in _SHAPE_TAGS:
        raise Unsupported(
            f"{spec.name}: found task type {spec.task_type!r}, expected classification, ordinal, boxes, polygons, spans "
            f"or text: masks are not sent to Label Studio"
        )
    tag = _SHAPE_TAGS[spec.task_type]
    extra = ' canRotate="false"' if spec.task_type == "boxes" else ""
    return f"<{tag} {to}{extra}>\n{_options('Label', spec.labels)}\n  </{tag}>"


def _options(tag: str, labels: tuple[str, ...]) -> str:
    keys = [f" hotkey={quoteattr(label.lower())}" for label in labels]
    # Label Studio's own hotkeys count from 1: on digits, pressing 1 would answer 0.
    own = all(len(label) == 1 and label.isascii() and label.isalnum() for label in labels) and len(set(keys)) == len(
        keys
    )
    return "\n".join(
        f"    <{tag} value={quoteattr(label)}{key if own else ''}/>" for label, key in zip(labels, keys, strict=True)
    )
