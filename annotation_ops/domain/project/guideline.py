"""The annotation guideline: Markdown with a front matter."""

from dataclasses import dataclass

from annotation_ops.domain.errors import Fault
from annotation_ops.domain.project.fingerprint import content_hash, normalised_markdown
from annotation_ops.domain.project.reading import VERSION, Parsed, Reader, parse_content
from annotation_ops.domain.project.strict_yaml import read_yaml, text_faults

_MARK = "---"


@dataclass(frozen=True, slots=True)
class Guideline:
    version: str
    taxonomy_version: str
    """The taxonomy it was written for; must be the taxonomy's current version."""
    text: str
    """Markdown that annotators see."""


def parse_guideline(text: str, *, file: str = "guideline.md") -> Parsed[Guideline]:
    """`guideline.md` as a record, or every fault in it. Its hash is over the front matter and the normalised Markdown."""
    faults = text_faults(text, file=file)
    if faults:
        return Parsed(None, "", "", faults)
    head, body = _split(text.replace("\r\n", "\n"))
    if head is None:
        mend = "Begin the file with the lines `---`, `version: 1.0.0`, `taxonomy_version: 1.0.0`, `---`."
        return Parsed(
            None, "", "", (Fault(file, "", "no front matter", "a front matter between two lines `---`", mend),)
        )
    content, form = read_yaml(head, file=file)
    markdown = normalised_markdown(body)
    parsed = parse_content(content, lambda reader: _read(reader, markdown), file=file, form=form)
    if parsed.record is None:
        return parsed
    digest = content_hash({"front_matter": content, "text": markdown})
    return Parsed(parsed.record, parsed.version, digest, ())


def _read(reader: Reader, markdown: str) -> Guideline:
    if not markdown.strip():
        reader.fault("", "no text", "the instructions that annotators see", "Write them below the front matter.")
    expected = "the taxonomy's version, such as '1.0.0'"
    return Guideline(
        version=reader.version(),
        taxonomy_version=reader.matching("taxonomy_version", VERSION, expected),
        text=markdown,
    )


def _split(text: str) -> tuple[str | None, str]:
    """Front matter and Markdown; the first is None when there is none. A blank first line keeps line numbers true."""
    lines = text.split("\n")
    if lines[0].rstrip() != _MARK:
        return None, text
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == _MARK), None)
    if end is None:
        return None, text
    return "\n".join(["", *lines[1:end]]), "\n".join(lines[end + 1 :])
