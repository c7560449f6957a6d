"""`contract.yaml`, an Open Data Contract Standard 3.1 document, as a Contract.

The standard's own fields are used where they say what is meant: `id`, `team`, `slaProperties` (latency), the schema object
`sample` with its properties. What it has no field for stands in `customProperties`, and roles of a property in `tags`.
A field that would constrain samples but is not enforced here is a fault: a contract promises nothing that nobody checks.
"""

import re
import warnings
from datetime import timedelta
from typing import cast, get_args

from annotation_ops.domain.project.contract import Contract, Media, MetadataField, TaskType
from annotation_ops.domain.project.odcs import standard_faults
from annotation_ops.domain.project.places import listing, suggestion
from annotation_ops.domain.project.reading import IDENTIFIER, IDENTIFIER_WORDS, Parsed, Reader, parse_content
from annotation_ops.domain.project.strict_yaml import read_yaml
from annotation_ops.domain.records import JsonObject

STANDARD_VERSIONS = ("v3.1.0",)
ENGINE = "annotation_ops"

MEBIBYTE = 1 << 20
DEFAULT_MAX_BYTES = 20 * MEBIBYTE
DEFAULT_MAX_PIXELS = 50_000_000
"""A 50-megapixel camera; decoded as RGB it takes 150 MB."""
DEFAULT_MAX_CHARACTERS = 100_000

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")
_MEDIA_TYPE = re.compile(r"[a-z]{1,20}/[a-z0-9.+-]{1,60}")
_TEXT_MEDIA_TYPES = frozenset({"application/json", "application/x-ndjson", "application/xml"})
_MEDIA_OF_TASK: dict[str, tuple[str, ...]] = {
    "boxes": ("image", "video"),
    "polygons": ("image", "video"),
    "masks": ("image", "video"),
    "spans": ("text",),
}
_SECONDS = {"min": 60, "minutes": 60, "h": 3600, "hours": 3600, "d": 86400, "days": 86400}
_TAGS = ("slice", "region", "subject")
_TYPES = {
    "string": None,
    "boolean": r"true|false",
    "integer": r"[+-]?[0-9]+",
    "number": r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?",
    "date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "timestamp": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})",
}
"""Logical type -> what its text must look like when the property has no pattern of its own."""
_WORDS_ONLY = (
    "id",
    "businessName",
    "description",
    "examples",
    "classification",
    "authoritativeDefinitions",
    "synonyms",
)
_DOCUMENT_WORDS = (
    *("name", "status", "tenant", "tags", "servers", "dataProduct", "description", "domain", "context", "support"),
    *("price", "roles", "authoritativeDefinitions", "contractCreatedTs"),
)
_OBJECT_WORDS = ("logicalType", "physicalName", "physicalType", "dataGranularityDescription", "tags", "context")


def parse_contract(text: str, *, odcs_schema: JsonObject, file: str = "contract.yaml") -> Parsed[Contract]:
    """`contract.yaml` as a record, or every fault in it; `odcs_schema` is the standard's JSON schema."""
    content, form = read_yaml(text, file=file)
    parsed = parse_content(content, _read, file=file, form=form)
    if not isinstance(content, dict):
        return parsed
    known = {fault.path for fault in parsed.faults}
    # Without its type the standard holds a property to the options of every type at once.
    untyped = tuple(path.removesuffix("logicalType") for path in known if path.endswith(".logicalType"))
    by_standard = standard_faults(content, schema=odcs_schema, file=file)
    added = (fault for fault in by_standard if fault.path not in known and not fault.path.startswith(untyped))
    faults = (*parsed.faults, *added)
    return Parsed(None, parsed.version, "", faults) if faults else parsed


def _read(reader: Reader) -> Contract:
    reader.choice("apiVersion", STANDARD_VERSIONS)
    reader.choice("kind", ("DataContract",))
    reader.ignore(*_DOCUMENT_WORDS)
    metadata, roles = _read_schema(reader)
    extras = reader.properties("customProperties", foreign="vendor")
    media = extras.choice("media", get_args(Media))
    task_type = extras.choice("taskType", get_args(TaskType))
    usable = _MEDIA_OF_TASK.get(task_type, get_args(Media))
    if media not in usable:
        extras.wrong("media", f"{listing(usable)} for the task type {task_type}")
    contract = Contract(
        version=reader.version(),
        project=reader.identifier("id"),
        task_type=cast("TaskType", task_type),
        media=cast("Media", media),
        media_types=_read_media_types(extras, media),
        max_bytes=extras.integer("maxBytes", low=1, high=1 << 40, default=DEFAULT_MAX_BYTES),
        max_pixels=extras.integer("maxPixels", low=1, high=10**10, default=DEFAULT_MAX_PIXELS),
        max_characters=extras.integer("maxCharacters", low=1, high=10**9, default=DEFAULT_MAX_CHARACTERS),
        metadata=metadata,
        region_field=roles.get("region"),
        allowed_regions=extras.identifiers("allowedRegions"),
        subject_field=roles.get("subject"),
        sla=_read_latency(reader),
        owner=_read_owner(reader),
    )
    if contract.allowed_regions and contract.region_field is None:
        extras.wrong("allowedRegions", "a property with the tag region to compare them with")
    extras.close()
    return contract


def _read_media_types(extras: Reader, media: str) -> tuple[str, ...]:
    types = extras.texts("mediaTypes", _MEDIA_TYPE, f"a media type such as {media}/...")
    for position, found in enumerate(types):
        fits = found.startswith(f"{media}/") or (media == "text" and found in _TEXT_MEDIA_TYPES)
        if _MEDIA_TYPE.fullmatch(found) and not fits:
            extras.wrong_item("mediaTypes", position, f"a media type of the media {media}")
    if not types and extras.content.get("mediaTypes") in (None, []):
        extras.wrong("mediaTypes", f"a list of accepted media types, such as {media}/...")
    return types


def _read_latency(reader: Reader) -> timedelta:
    """The SLA property `latency`; other properties of the standard are words for people."""
    for entry in reader.sections("slaProperties"):
        if entry.content.get("property") == "latency":
            seconds = _SECONDS[entry.choice("unit", tuple(_SECONDS))]
            return timedelta(seconds=seconds * entry.number("value", low=0, high=3650, open_ends="low"))
    named = [entry.get("property") for entry in _mappings(reader, "slaProperties")]
    near = next((name for name in named if isinstance(name, str) and suggestion(name, ["latency"])), None)
    mend = f"Did you mean 'latency' by {near!r}?" if near else "Add an entry {property: latency, value: 24, unit: h}."
    reader.fault("slaProperties", "no latency", "the time from dispatch to the due time of a batch", mend)
    return timedelta(1)


def _mappings(reader: Reader, key: str) -> list[JsonObject]:
    values = reader.content.get(key)
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _read_owner(reader: Reader) -> str:
    """The member with the role `owner`, by e-mail; else the team."""
    team = reader.section("team")
    if team is None:
        return ""
    team.ignore("id", "description", "tags", "customProperties", "authoritativeDefinitions")
    name = team.matching("name", IDENTIFIER, IDENTIFIER_WORDS)
    owners = []
    for member in team.sections("members"):
        if member.content.get("role") == "owner":
            owners.append(member.matching("username", _EMAIL, "the owner's e-mail address"))
    team.close()
    return owners[0] if owners else f"team:{name}"


def _read_schema(reader: Reader) -> tuple[tuple[MetadataField, ...], dict[str, str]]:
    """The metadata fields of the object `sample`, and role -> field for the tags region and subject."""
    found: tuple[tuple[MetadataField, ...], dict[str, str]] = ((), {})
    names = []
    for entry in reader.sections("schema", required=True):
        name = entry.choice("name", ("sample", "label"))
        if name in names:
            entry.fault("name", f"{name!r} twice", "each object once", "Remove one of the two.")
        names.append(name)
        entry.ignore(*_WORDS_ONLY, *_OBJECT_WORDS)
        _read_engine(entry)
        if name == "sample":
            found = _read_sample(entry)
        entry.close()
    if names and "sample" not in names:
        reader.fault("schema", f"only {listing(names)}", "an object named sample", "Describe the metadata of a sample.")
    return found


def _read_engine(entry: Reader) -> None:
    """Quality rules of an object: the acceptance criteria stand in a document of their own."""
    for rule in entry.sections("quality"):
        rule.ignore("description", "name", "id", "dimension", "businessImpact", "severity", "tags")
        rule.choice("type", ("custom",))
        rule.choice("engine", (ENGINE,))
        rule.choice("implementation", ("criteria.yaml",))
        rule.close()


def _read_sample(sample: Reader) -> tuple[tuple[MetadataField, ...], dict[str, str]]:
    fields: list[MetadataField] = []
    roles: dict[str, str] = {}
    for entry in sample.sections("properties"):
        declared = _read_field(entry)
        if declared.name and declared.name in {earlier.name for earlier in fields}:
            entry.fault("name", f"{declared.name!r} twice", "each field once", "Remove or rename one of the two.")
        fields.append(declared)
        for tag in ("region", "subject"):
            if tag in _tags(entry):
                if tag in roles:
                    entry.fault("tags", f"a second {tag}", f"one field with the tag {tag}", "Remove the tag.")
                roles[tag] = declared.name
    return tuple(fields), roles


def _tags(entry: Reader) -> list[str]:
    tags = entry.content.get("tags")
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _read_field(entry: Reader) -> MetadataField:
    entry.ignore(*_WORDS_ONLY)
    for position, tag in enumerate(entry.identifiers("tags")):
        if tag not in _TAGS:
            entry.wrong_item("tags", position, listing(_TAGS), suggestion(tag, _TAGS))
    logical_type = entry.choice("logicalType", tuple(_TYPES))
    field = MetadataField(
        name=entry.identifier("name"),
        required=entry.flag("required", default=False),
        pattern=_read_pattern(entry) or _TYPES[logical_type],
        allowed=_read_allowed(entry),
        slice="slice" in _tags(entry),
    )
    entry.close()
    return field


def _read_pattern(entry: Reader) -> str | None:
    options = entry.section("logicalTypeOptions", required=False)
    if options is None:
        return None
    pattern = options.optional_text("pattern")
    if pattern is not None:
        reason = _pattern_fault(pattern)
        if reason:
            options.wrong("pattern", f"a regular expression ({reason})")
    options.close()
    return pattern


def _pattern_fault(pattern: str) -> str:
    """Why Python cannot use the expression; a warning counts, because its meaning would change with the next version."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, Warning, OverflowError, RecursionError) as error:
        return str(error)
    return ""


def _read_allowed(entry: Reader) -> tuple[str, ...]:
    """The closed set of values: the library metric invalidValues with `validValues`."""
    allowed: tuple[str, ...] = ()
    for rule in entry.sections("quality"):
        rule.ignore("description", "name", "id", "dimension", "businessImpact", "severity", "tags")
        rule.choice("type", ("library",), default="library")
        rule.choice("metric", ("invalidValues",))
        rule.integer("mustBe", low=0, high=0)
        arguments = rule.section("arguments")
        if arguments is not None:
            allowed = arguments.texts("validValues", None, "text of 1 to 4000 characters")
            if not allowed:
                arguments.wrong("validValues", "a list of the allowed values")
            arguments.close()
        rule.close()
    return allowed
