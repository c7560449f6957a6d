"""Who is told what happened: endpoints for signed webhooks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from annotation_ops.domain.network_address import EXPECTED, NoTarget, read_target
from annotation_ops.domain.project.places import listing, suggestion
from annotation_ops.domain.project.reading import Parsed, Reader, parse_document
from annotation_ops.domain.records import content_key
from annotation_ops.domain.webhook_events import EVENTS

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,127}")
_VARIABLE_WORDS = "the name of an environment variable in capitals, such as HOOK_SECRET"


@dataclass(frozen=True, slots=True)
class Endpoint:
    name: str
    url: str
    """https, or http to a host that ANNOTATION_OPS_WEBHOOK_HOSTS names."""
    events: tuple[str, ...]
    """What it is told; every event when the document names none."""
    secret_env: str
    """The environment variable with the secret, or with two of them and a blank between; the document never holds it."""

    @property
    def key(self) -> str:
        """Changes with the address and the secret's name: another endpoint under the same name."""
        return content_key("endpoint", self.url, self.secret_env)


@dataclass(frozen=True, slots=True)
class Webhooks:
    version: str
    endpoints: tuple[Endpoint, ...]

    def named(self, name: str) -> Endpoint | None:
        return next((endpoint for endpoint in self.endpoints if endpoint.name == name), None)


def parse_webhooks(text: str, *, file: str = "webhooks.yaml") -> Parsed[Webhooks]:
    """`webhooks.yaml` as a record, or every fault in it."""
    return parse_document(text, _read, file=file)


def _read(reader: Reader) -> Webhooks:
    version = reader.version()
    endpoints = tuple(_endpoints(reader))
    if not endpoints and isinstance(reader.content.get("endpoints"), list):
        reader.wrong("endpoints", "a list of at least one endpoint", "Remove the file if nobody is to be told.")
    return Webhooks(version, endpoints)


def _endpoints(reader: Reader) -> Iterator[Endpoint]:
    seen: set[str] = set()
    for section in reader.sections("endpoints", required=True):
        name = section.identifier("name")
        if name in seen:
            section.fault("name", repr(name), "each endpoint once", "Give one of them another name.")
        seen.add(name)
        yield Endpoint(name, _url(section), _events(section), _secret_env(section))
        section.close()


def _url(section: Reader) -> str:
    url = section.content.get("url")
    if not isinstance(url, str):
        section.wrong("url", EXPECTED)
        return ""
    section.has("url")
    target = read_target(url)
    if isinstance(target, NoTarget):
        section.fault("url", target.found, target.expected)
    return url


def _events(section: Reader) -> tuple[str, ...]:
    if "events" not in section.content:
        return EVENTS
    names = section.texts("events", None, "the name of an event")
    written = section.content["events"]
    for position, name in enumerate(written if isinstance(written, list) else []):
        if isinstance(name, str) and name not in EVENTS:
            mend = suggestion(name, EVENTS) or "docs/webhooks.md lists them."
            section.wrong_item("events", position, listing(EVENTS), mend)
    if written == []:
        section.wrong("events", "at least one event", "Leave the field out to be told of every event.")
    return names


def _secret_env(section: Reader) -> str:
    """Whatever is no variable's name is not quoted: it may be the secret itself."""
    value = section.content.get("secret_env")
    if not isinstance(value, str):
        section.wrong("secret_env", _VARIABLE_WORDS)
        return ""
    section.has("secret_env")
    if not _VARIABLE.fullmatch(value):
        found = "what looks like the secret itself" if "whsec" in value.lower() else "something that is no such name"
        section.fault("secret_env", found, _VARIABLE_WORDS, "Put the secret into the environment, its name here.")
    return value
