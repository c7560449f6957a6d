"""The words for where an annotator stands."""

from enum import StrEnum


class AnnotatorStatus(StrEnum):
    """None of them is an end: there is no removal."""

    CERTIFIED = "certified"
    """Shown to be good enough, still in force, nothing speaks against it."""
    FLAGGED = "flagged"
    """Evidence against: training, then recertification."""
    NEEDS_MORE_EVIDENCE = "needs_more_evidence"
    """Too little is known to say either."""
    LAPSED = "lapsed"
    """Was certified; the certificate expired or the guideline changed."""
    UNCERTIFIED = "uncertified"
    """Never calibrated for this task type."""
