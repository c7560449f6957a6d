"""The annotation project: the declared unit, all documents together."""

from dataclasses import dataclass

from annotation_ops.domain.project.contract import Contract
from annotation_ops.domain.project.criteria import Criteria
from annotation_ops.domain.project.guideline import Guideline
from annotation_ops.domain.project.monitor import Monitor
from annotation_ops.domain.project.routing import Routing
from annotation_ops.domain.project.sources import Sources
from annotation_ops.domain.project.taxonomy import Taxonomy
from annotation_ops.domain.project.webhooks import Webhooks
from annotation_ops.domain.project.workflow import Workflow
from annotation_ops.domain.project.workforce import Workforce
from annotation_ops.domain.records import DocumentVersions


@dataclass(frozen=True, slots=True)
class DeclaredDocument:
    """One document as it was read: what the ledger stores."""

    kind: str
    version: str
    content_hash: str
    """sha256 of the canonical parsed content (comments and layout do not count), hex."""
    body: str
    """The text of the file."""


@dataclass(frozen=True, slots=True)
class AnnotationProject:
    name: str
    contract: Contract
    taxonomy: Taxonomy
    guideline: Guideline
    criteria: Criteria
    workforce: Workforce
    workflow: Workflow
    routing: Routing
    sources: Sources
    monitor: Monitor | None
    documents: tuple[DeclaredDocument, ...]
    """Those that batches and verdicts rest on."""
    webhooks: Webhooks | None = None

    def pinned(self, kind: str) -> str:
        """`version+hash12` of a document, e.g. `1.0.0+3fa9c1d20b77`."""
        document = next(document for document in self.documents if document.kind == kind)
        return f"{document.version}+{document.content_hash[:12]}"

    @property
    def versions(self) -> DocumentVersions:
        """The versions that are written on every batch planned now."""
        return DocumentVersions(
            **{
                kind: self.pinned(kind)
                for kind in ("contract", "taxonomy", "guideline", "criteria", "workforce", "workflow", "routing")
            }
        )
