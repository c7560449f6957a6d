"""The workflow: how a batch goes through people."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, cast, get_args

from annotation_ops.domain.project.reading import Parsed, Reader, parse_document
from annotation_ops.domain.quality.review import ReviewRules

Strategy = Literal["margin_kmeans", "margin", "entropy", "least_confidence", "random"]
Platform = Literal["simulated", "label_studio"]
OverlapPolicy = Literal["fixed", "two_plus_one", "lead_two", "posterior", "model_assisted"]


@dataclass(frozen=True, slots=True)
class AdaptiveOverlap:
    """How many judgements a task gets beyond its first ones; see docs/consensus.md for what each policy buys."""

    policy: OverlapPolicy
    cap: int
    """Most judgements a task."""
    settled_at: float
    """posterior: a task whose leading label is at least this probable is settled."""
    model_confidence: float
    """model_assisted: one judgement that the model's prediction confirms with at least this probability is enough."""
    blind_share: float
    """model_assisted: share of such tasks that a second person judges all the same."""


@dataclass(frozen=True, slots=True)
class TopUp:
    """How often, and by how much, overlap is raised while the evidence does not settle a verdict."""

    rounds: int
    """0: an INSUFFICIENT verdict goes to a person at once."""
    tasks: int
    """Most further judgements a round."""


FIXED = AdaptiveOverlap("fixed", cap=7, settled_at=0.85, model_confidence=0.7, blind_share=0.1)
TOP_UP = TopUp(rounds=2, tasks=60)


@dataclass(frozen=True, slots=True)
class Workflow:
    version: str
    batch_size: int
    overlap: int
    """Independent judgements a task."""
    max_attempts: int
    """After this many rejected attempts a person decides."""
    strategy: Strategy
    random_share: float
    """Share of every batch drawn at random, with stored inclusion probability."""
    slice_quota: str | None
    """Slice name whose values get equal shares of the batch; None for no quota."""
    max_open_batches: int
    """No new batch is planned from a ranking while this many attempts are unpublished."""
    platform: Platform
    overlap_share: float = 1.0
    """Share of the tasks, drawn at random, that get `overlap` judgements; the others start with what the policy asks."""
    adaptive: AdaptiveOverlap = FIXED
    top_up: TopUp = TOP_UP
    review: ReviewRules | None = None
    """Which labels a reviewer looks at before they are published; None: none."""
    adjudication: bool = False
    """Whether labels that are open, or that a reviewer corrected, are settled by an adjudicator; else the former wait and the latter
    are as the reviewer says."""
    gold_share: float = 0.0
    """Share of hidden tasks with a known answer, added to every batch."""


def parse_workflow(text: str, *, file: str = "workflow.yaml") -> Parsed[Workflow]:
    """`workflow.yaml` as a record, or every fault in it."""
    return parse_document(text, _read, file=file)


def _read(reader: Reader) -> Workflow:
    return Workflow(
        version=reader.version(),
        batch_size=reader.integer("batch_size", low=1, high=100_000),
        overlap=reader.integer("overlap", low=1, high=100),
        max_attempts=reader.integer("max_attempts", low=1, high=100, default=3),
        strategy=cast("Strategy", reader.choice("strategy", get_args(Strategy), default="margin_kmeans")),
        random_share=reader.number("random_share", low=0, high=1, default=0.1),
        slice_quota=reader.optional_identifier("slice_quota"),
        max_open_batches=reader.integer("max_open_batches", low=1, high=10_000, default=2),
        platform=cast("Platform", reader.choice("platform", get_args(Platform), default="simulated")),
        overlap_share=reader.number("overlap_share", low=0, high=1, open_ends="low", default=1.0),
        adaptive=_read_adaptive(reader),
        top_up=_read_top_up(reader),
        review=_read_review(reader),
        adjudication=reader.flag("adjudication", default=False),
        gold_share=reader.number("gold_share", low=0, high=0.5, default=0.0),
    )


def _read_adaptive(reader: Reader) -> AdaptiveOverlap:
    section = reader.section("adaptive_overlap", required=False) or _nothing(reader, "adaptive_overlap")
    adaptive = AdaptiveOverlap(
        policy=cast("OverlapPolicy", section.choice("policy", get_args(OverlapPolicy), default=FIXED.policy)),
        cap=section.integer("cap", low=1, high=100, default=FIXED.cap),
        settled_at=section.number("settled_at", low=0.5, high=1, open_ends="high", default=FIXED.settled_at),
        model_confidence=section.number("model_confidence", low=0, high=1, default=FIXED.model_confidence),
        blind_share=section.number("blind_share", low=0, high=1, default=FIXED.blind_share),
    )
    section.close()
    return adaptive


def _read_top_up(reader: Reader) -> TopUp:
    section = reader.section("top_up", required=False) or _nothing(reader, "top_up")
    top_up = TopUp(
        rounds=section.integer("rounds", low=0, high=20, default=TOP_UP.rounds),
        tasks=section.integer("tasks", low=1, high=100_000, default=TOP_UP.tasks),
    )
    section.close()
    return top_up


def _read_review(reader: Reader) -> ReviewRules | None:
    section = reader.section("review", required=False)
    if section is None:
        return None
    never = timedelta(0)
    late = section.duration("answered_after", default=never)
    rules = ReviewRules(
        share=section.number("share", low=0, high=1, default=0.05),
        agreement_below=section.number("agreement_below", low=0, high=1, default=0.0),
        classes=section.texts("classes", None, "a label of the taxonomy"),
        answered_after=late if late != never else None,
    )
    section.close()
    return rules


def _nothing(reader: Reader, key: str) -> Reader:
    """An absent section, of which every field has its default."""
    return Reader(reader.file, reader.place(key), {}, reader.faults)
