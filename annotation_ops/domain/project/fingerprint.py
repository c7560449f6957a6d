"""Content hashes: what a document says, not how it is laid out."""

import hashlib
import json
import unicodedata

from annotation_ops.domain.project.strict_yaml import Json


def content_hash(content: Json) -> str:
    """sha256 of the canonical JSON (sorted keys, no spaces, UTF-8), hex; comments, key order and layout do not count."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def normalised_markdown(text: str) -> str:
    """Markdown with LF line ends, composed characters (NFC), and no blanks at line ends or around the text."""
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n")
