"""A guideline cut into sections at its headings, and the sections that speak about a label."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from annotation_ops.domain.project.taxonomy import Label

MAX_PHRASE_WORDS = 3
"""The beginning of a description counts as a name of its label when it is this short ("Zero", not a sentence)."""
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_LIST_MARK = re.compile(r"^[ \t]*(?:>[ \t]*)*[0-9]{1,9}[.)][ \t]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Section:
    path: tuple[str, ...]
    """Headings from the top down to its own; empty for text before the first heading."""
    text: str
    """Markdown below its own heading, subsections left out."""

    @property
    def title(self) -> str:
        return self.path[-1] if self.path else ""


def sections(markdown: str) -> tuple[Section, ...]:
    """Every section that has text, in document order. Headings: `#` to `######` and underlined; not within code fences."""
    found: list[Section] = []
    path: list[tuple[int, str]] = []
    lines: list[str] = []

    def close() -> None:
        text = "\n".join(lines).strip("\n")
        if text.strip():
            found.append(Section(tuple(title for _, title in path), text))
        lines.clear()

    for level, line in _levels(re.split(r"\r\n?|\n", markdown)):
        if level == 0:
            lines.append(line)
            continue
        close()
        path[:] = [(own, title) for own, title in path if own < level] + [(level, line)]
    close()
    return tuple(found)


def _levels(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Each line with 0, or each heading's text with its level."""
    fence = ""
    skip = False
    for at, line in enumerate(lines):
        if skip:
            skip = False
            continue
        mark = _FENCE.match(line)
        if mark and (not fence or (mark[1][0] == fence[0] and len(mark[1]) >= len(fence))):
            fence = "" if fence else mark[1]
        heading = None if fence or mark else _HEADING.fullmatch(line)
        below = lines[at + 1] if at + 1 < len(lines) else ""
        if heading:
            yield len(heading[1]), (heading[2] or "").strip()
        elif not fence and not mark and _underlined(line, lines[at - 1] if at else "") and _UNDERLINE.fullmatch(below):
            skip = True
            yield 1 if "=" in below else 2, line.strip()
        else:
            yield 0, line


def _underlined(line: str, above: str) -> bool:
    """Whether a line can be a heading by the line below it: a paragraph of one line, not a list, quote or table."""
    return bool(line.strip()) and not above.strip() and line.lstrip()[0] not in "|>-*+=#"


def explaining(found: Sequence[Section], labels: Sequence[Label], *, most: int) -> tuple[tuple[Section, ...], bool]:
    """The sections that name these labels, and whether any does.

    Sections naming more of the labels come first, then those where a label stands in quotes or backquotes or in the heading,
    then document order. Where no section names any of them, the first section stands in: it says how to work.
    """
    ranked = []
    for at, section in enumerate(found):
        strength = [_strength(section, label) for label in labels]
        if any(strength):
            ranked.append((-sum(one > 0 for one in strength), -sum(strength), at))
    if not ranked:
        return tuple(found[:1]), False
    return tuple(found[at] for _, _, at in sorted(ranked)[:most]), True


def _strength(section: Section, label: Label) -> int:
    """0 not named, 1 named in the text, 2 quoted or in the heading."""
    text = _LIST_MARK.sub(" ", section.text)
    named = _naming(label)
    if any(named.search(title) for title in section.path) or _quoted(label).search(text):
        return 2
    return 1 if named.search(text) else 0


def _forms(label: Label) -> str:
    """The label's name, also with its separators as spaces, and a short beginning of its description."""
    start = re.split(r"[.,;:(]", label.description, maxsplit=1)[0].strip()
    forms = [label.name, re.sub(r"[-_./]+", " ", label.name).strip()]
    if start and len(start.split()) <= MAX_PHRASE_WORDS:
        forms.append(start)
    return "|".join(re.escape(form) for form in dict.fromkeys(forms) if form)


def _naming(label: Label) -> re.Pattern[str]:
    # "5" is not named by 0.5, 15 or 5 %; a plural or possessive s names the label too.
    return re.compile(rf"(?<![\w.])(?:{_forms(label)})(?:s|'s|’s)?(?!\w|\s?%|[.,][0-9])", re.IGNORECASE)


def _quoted(label: Label) -> re.Pattern[str]:
    return re.compile(rf"[`'\"“‘„«](?:{_forms(label)})[`'\"”’“»]", re.IGNORECASE)
