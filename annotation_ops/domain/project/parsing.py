"""From the texts of an annotation project's documents to the project, or to everything that is wrong with them."""

from collections.abc import Callable, Mapping
from typing import Any

from annotation_ops.domain.errors import Fault, InvalidDocument
from annotation_ops.domain.project.annotation_project import AnnotationProject, DeclaredDocument
from annotation_ops.domain.project.consistency import Documents, consistency_faults
from annotation_ops.domain.project.contract_document import parse_contract
from annotation_ops.domain.project.criteria import parse_criteria
from annotation_ops.domain.project.guideline import parse_guideline
from annotation_ops.domain.project.monitor import parse_monitor
from annotation_ops.domain.project.reading import Parsed
from annotation_ops.domain.project.routing import parse_routing
from annotation_ops.domain.project.sources import parse_sources
from annotation_ops.domain.project.taxonomy import parse_taxonomy
from annotation_ops.domain.project.webhooks import parse_webhooks
from annotation_ops.domain.project.workflow import parse_workflow
from annotation_ops.domain.project.workforce import parse_workforce
from annotation_ops.domain.records import JsonObject

FILES: dict[str, str] = {
    "contract": "contract.yaml",
    "taxonomy": "taxonomy.yaml",
    "guideline": "guideline.md",
    "criteria": "criteria.yaml",
    "workforce": "workforce.yaml",
    "workflow": "workflow.yaml",
    "routing": "routing.yaml",
    "sources": "sources.yaml",
    "monitor": "monitor.yaml",
    "webhooks": "webhooks.yaml",
}
"""Kind of document -> its file in the project's folder."""

OPTIONAL = frozenset({"monitor", "webhooks"})

NOT_KEPT = frozenset({"webhooks"})
"""No verdict or label rests on it, and an address may change in the middle of a batch: the ledger keeps no version of it."""


def parse_project(
    texts: Mapping[str, str], *, odcs_schema: JsonObject, faults: tuple[Fault, ...] = ()
) -> AnnotationProject:
    """The project that the texts (kind -> text) declare; `odcs_schema` is the JSON schema of the contract standard.

    Raises InvalidDocument with every fault: `faults` that were found while the texts were fetched, those of each document,
    and those between documents that are sound by themselves.
    """
    found = list(faults)
    faulty = {fault.file for fault in faults}
    for kind, file in FILES.items():
        if kind not in texts and kind not in OPTIONAL and file not in faulty:
            found.append(
                Fault(file, "", "no such file", "the document", "Write it; docs/annotation-projects.md shows how.")
            )
    parsed = {kind: _parse(kind, text, odcs_schema=odcs_schema) for kind, text in texts.items()}
    for document in parsed.values():
        found.extend(document.faults)
    records: dict[str, Any] = {kind: parsed[kind].record if kind in parsed else None for kind in FILES}
    found.extend(consistency_faults(Documents(**records)))
    if found:
        raise InvalidDocument(tuple(found))
    declared = tuple(_declared(kind, parsed[kind], texts[kind]) for kind in FILES if kind in parsed.keys() - NOT_KEPT)
    return AnnotationProject(name=records["contract"].project, **records, documents=declared)


def _parse(kind: str, text: str, *, odcs_schema: JsonObject) -> Parsed[Any]:
    if kind == "contract":
        return parse_contract(text, odcs_schema=odcs_schema)
    return _PARSERS[kind](text)


_PARSERS: dict[str, Callable[[str], Parsed[Any]]] = {
    "taxonomy": parse_taxonomy,
    "guideline": parse_guideline,
    "criteria": parse_criteria,
    "workforce": parse_workforce,
    "workflow": parse_workflow,
    "routing": parse_routing,
    "sources": parse_sources,
    "monitor": parse_monitor,
    "webhooks": parse_webhooks,
}


def _declared(kind: str, document: Parsed[Any], text: str) -> DeclaredDocument:
    return DeclaredDocument(kind=kind, version=document.version, content_hash=document.content_hash, body=text)
