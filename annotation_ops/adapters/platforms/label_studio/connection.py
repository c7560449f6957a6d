"""Reading `label_studio.yaml`: under which address people sign in, and how media are shown."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from annotation_ops.adapters.platforms.document import read_document
from annotation_ops.adapters.platforms.label_studio.webhooks import Inbox
from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.records import JsonObject

LOCAL_ROUTE = "/data/local-files/?d="
"""Where Label Studio serves files below its document root."""

_ADDRESS = {"type": "string", "pattern": r"^[^@\s]+@[^@\s]+$"}
SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "version": {"type": "string", "minLength": 1},
        "sign_in": {"type": "string", "pattern": r"^[^@\s]*\{id\}[^@\s]*@[^@\s]+$"},
        "people": {"type": "object", "additionalProperties": _ADDRESS},
    },
    "required": ["version"],
    "anyOf": [{"required": ["sign_in"]}, {"required": ["people"]}],
    "additionalProperties": False,
}


def _unread(uri: str) -> str:
    raise InvalidInput(f"{uri}: found the address of a text and no store to read it from")


def _unseen(uri: str) -> tuple[int, int]:
    raise InvalidInput(f"{uri}: found the address of a picture and no store to look at it")


@dataclass(frozen=True, slots=True)
class Connection:
    """How the ids of workforce.yaml and the URIs of the raw data look in Label Studio."""

    pattern: str
    """Address for everybody not in `people`, with `{id}` for the annotator id; empty: only those in `people` have one."""
    people: dict[str, str]
    """annotator id -> address."""
    document_root: Path | None = None
    """Folder that the Label Studio server serves; file:// URIs below it can be shown."""
    s3_endpoint: str | None = None
    """Of an S3-compatible store that is not AWS, as the Label Studio server reaches it."""
    inbox: Inbox | None = None
    """Where its webhooks go; None for no webhooks."""
    read_text: Callable[[str], str] = _unread
    """The text behind a URI: people mark it up, so it goes to the server itself."""
    picture_size: Callable[[str], tuple[int, int]] = _unseen
    """(width, height) in pixels of the picture behind a URI: what is drawn on it beforehand is placed in percent."""

    def sign_in(self, annotator_id: str) -> str:
        """The address of a person; one that nobody has when none is declared."""
        return (
            self.people.get(annotator_id) or self.pattern.replace("{id}", annotator_id) or f"{annotator_id}@undeclared"
        )

    def annotator(self, email: str) -> str | None:
        """The annotator id behind an address; None for an address that nobody is declared with."""
        email = email.lower()
        for annotator_id, address in self.people.items():
            if address.lower() == email:
                return annotator_id
        before, _, after = self.pattern.lower().partition("{id}")
        found = email[len(before) : len(email) - len(after)]
        fits = self.pattern and email == f"{before}{found}{after}" and found and found not in self.people
        return found if fits else None

    def shown(self, medium: str, *, media: str) -> str:
        """A task's medium as Label Studio can show it: a text itself, a file by the server's own route, all else as it is.

        Raises InvalidInput for a file that the server does not serve.
        """
        if media == "text":
            return self.read_text(medium) if "://" in medium.partition(" ")[0] else medium
        address = urlsplit(medium)
        if address.scheme != "file":
            return medium
        path = Path(unquote(address.path))
        if self.document_root is None or ".." in path.parts or not path.is_relative_to(self.document_root):
            raise InvalidInput(
                f"{medium}: found a file outside of the folder that Label Studio serves ({self.document_root}); set "
                f"ANNOTATION_OPS_LABEL_STUDIO_ROOT to the server's LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"
            )
        return f"{LOCAL_ROUTE}{quote(str(path.relative_to(self.document_root)))}"


def load_connection(path: Path, *, document_root: Path | None = None, s3_endpoint: str | None = None) -> Connection:
    """Raises InvalidDocument with every fault."""
    content = read_document(path, SCHEMA)
    return Connection(content.get("sign_in", ""), dict(content.get("people", {})), document_root, s3_endpoint)
