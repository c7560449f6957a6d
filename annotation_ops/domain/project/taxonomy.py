"""The label taxonomy: which answers exist, in which order."""

from dataclasses import dataclass

from annotation_ops.domain.project.reading import Parsed, Reader, parse_document


@dataclass(frozen=True, slots=True)
class Label:
    name: str
    description: str
    critical: bool
    """A class guard applies: the gate looks at this class by itself."""


@dataclass(frozen=True, slots=True)
class Taxonomy:
    version: str
    labels: tuple[Label, ...]
    """In document order, which is the category order of ordinal statistics and of probability columns."""
    ordered: bool

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)


def parse_taxonomy(text: str, *, file: str = "taxonomy.yaml") -> Parsed[Taxonomy]:
    """`taxonomy.yaml` as a record, or every fault in it."""
    return parse_document(text, _read, file=file)


def _read(reader: Reader) -> Taxonomy:
    labels = tuple(_read_label(label) for label in reader.sections("labels", required=True))
    seen: dict[str, int] = {}
    for position, label in enumerate(labels):
        if label.name and seen.setdefault(label.name, position) != position:
            expected, mend = "each label once", "Remove or rename one of the two."
            reader.fault(f"labels[{position}].name", f"{label.name!r} twice", expected, mend)
    return Taxonomy(version=reader.version(), labels=labels, ordered=reader.flag("ordered", default=False))


def _read_label(reader: Reader) -> Label:
    label = Label(
        name=reader.identifier("name"),
        description=reader.text("description", default=""),
        critical=reader.flag("critical", default=False),
    )
    reader.close()
    return label
