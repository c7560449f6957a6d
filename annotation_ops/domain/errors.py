"""Every error this package raises on purpose, as one tree.

AnnotationOpsError
├── PermanentError            trying again with the same input cannot help
│   ├── InvalidDocument       a declared document does not say what it must (carries every fault)
│   ├── InvalidInput          a file, row or argument from outside is not usable
│   ├── UnsafeInput           input that would cost absurd memory or run foreign code
│   ├── NotFound              something named does not exist
│   ├── Conflict              the state is not the one this action needs
│   ├── Unsupported           the platform or store cannot do this
│   ├── NotAuthenticated      nobody known acts
│   └── NotPermitted          somebody known acts whose role does not grant it
└── TransientError            the same call may succeed later: a network, a server, a lock
"""

from dataclasses import dataclass


class AnnotationOpsError(Exception):
    """Base of all errors raised on purpose; the message says what was found, where, what was expected and the mend."""


class PermanentError(AnnotationOpsError):
    """Trying again with the same input cannot help."""


class InvalidInput(PermanentError):
    """A file, row or argument from outside is not usable."""


class UnsafeInput(PermanentError):
    """Input that would cost absurd memory or run foreign code; refused before it is decoded."""


class NotFound(PermanentError):
    """Something named does not exist."""


class Conflict(PermanentError):
    """The recorded state is not the one this action needs."""


class Unsupported(PermanentError):
    """The platform or store does not offer this."""


class TransientError(AnnotationOpsError):
    """The same call may succeed later: a network, a server, a lock."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one declared document.

    `path` is the place inside the document (`labels[2].name`), `mend` one imperative sentence.
    """

    file: str
    path: str
    found: str
    expected: str
    mend: str = ""

    def __str__(self) -> str:
        where = f"{self.file}: {self.path}" if self.path else self.file
        mend = f" {self.mend}" if self.mend else ""
        return f"{where}: found {self.found}, expected {self.expected}.{mend}"


class InvalidDocument(PermanentError):
    """A declared document does not say what it must; `faults` lists every fault found, not only the first."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


class NotAuthenticated(PermanentError):
    """Nobody known acts: no access token, or none that is valid."""


class NotPermitted(PermanentError):
    """Somebody known acts whose role does not grant it."""
