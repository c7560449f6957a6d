"""`annotation-ops plan`: how much overlap a verdict needs, and how many labels an audit."""

import json
import sys

import click

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.criteria import DecisionMode
from annotation_ops.domain.quality.agreement.coefficients import NOMINAL
from annotation_ops.domain.quality.planning.aql_scheme import AQLS, LotPlan, Severity, lot_plan
from annotation_ops.domain.quality.planning.audit_plan import FLOOR, FLOOR_CAP, AuditPlan, plan_audit
from annotation_ops.domain.quality.planning.crowd_model import Crowd, CrowdModel, equal_shares
from annotation_ops.domain.quality.planning.gate_simulation import Gate, Outcomes
from annotation_ops.domain.quality.planning.overlap_plan import OverlapPlan, plan_overlap
from annotation_ops.domain.quality.planning.sequential_plan import Looks, TopUpPlan, plan_top_up
from annotation_ops.domain.quality.verdict.class_guards import IMBALANCED


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"found {text!r}, expected numbers with commas between, e.g. 0.7,0.2,0.1") from None


@click.group()
def plan() -> None:
    """Plan how much evidence to buy before buying it.

    Example: annotation-ops plan overlap --threshold .85 --truth .92 --classes 4
    """


@plan.command()
@click.option("--threshold", type=float, required=True, help="What the statistic must reach.")
@click.option("--truth", type=float, required=True, help="The value you believe the batch truly has.")
@click.option("--power", type=float, default=0.9, show_default=True, help="Wanted probability that it passes.")
@click.option("--classes", type=int, help="Number of equally frequent classes.")
@click.option("--prevalence", type=numbers, help="Shares of the classes instead, e.g. 0.7,0.2,0.07,0.03.")
@click.option("--raters", type=int, default=2, show_default=True, help="Judgements on each overlap task.")
@click.option("--statistic", type=click.Choice(list(NOMINAL)), help="Default: cohen_kappa for two raters, else alpha.")
@click.option(
    "--mode", type=click.Choice(["point", "not_worse", "evidence"]), default="not_worse", show_default=True,
    help="How the criteria decide.",
)  # fmt: skip
@click.option("--margin", type=float, default=0.05, show_default=True, help="Of the mode not_worse.")
@click.option("--confidence", type=float, default=0.95, show_default=True, help="Of the modes not_worse and evidence.")
@click.option("--tasks", type=int, help="Overlap tasks you can afford: says what they achieve.")
@click.option("--bad", type=float, help="True value of a batch that must not pass. Default: threshold - 0.05.")
@click.option("--price", type=float, help="Of one judgement.")
@click.option("--max", "max_tasks", type=int, default=2_000, show_default=True, help="Most overlap tasks to consider.")
@click.option("--looks", type=numbers, help="FIRST,STEP,CAP: judge early and top up while undecided, e.g. 100,50,400.")
@click.option(
    "--model", type=click.Choice(["chance", "symmetric"]), default="chance", show_default=True,
    help="How annotators err: guessing by the class frequencies, or every other class alike.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same plan.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def overlap(
    threshold: float,
    truth: float,
    power: float,
    classes: int | None,
    prevalence: tuple[float, ...] | None,
    raters: int,
    statistic: str | None,
    mode: DecisionMode,
    margin: float,
    confidence: float,
    tasks: int | None,
    bad: float | None,
    price: float | None,
    max_tasks: int,
    looks: tuple[float, ...] | None,
    model: CrowdModel,
    seed: int,
    as_json: bool,
) -> None:
    """How many tasks need a second opinion before a verdict can be trusted. Ends with 1 when --max are too few.

    Example: annotation-ops plan overlap --threshold .85 --truth .92 --power .9 --classes 4 --price .05
    """
    chosen = statistic or ("cohen_kappa" if raters == 2 else "krippendorff_alpha_nominal")
    gate = Gate(statistic=chosen, threshold=threshold, mode=mode, margin=margin, confidence=confidence)
    crowd = Crowd(prevalence=_shares(classes, prevalence), raters=raters, model=model)
    found = plan_overlap(
        gate,
        crowd=crowd,
        truth=truth,
        power=power,
        tasks=tasks,
        bad_truth=bad,
        price=price,
        max_tasks=max_tasks,
        seed=seed,
    )
    steps = None if looks is None else plan_top_up(gate, crowd=crowd, truth=truth, looks=_looks(looks), seed=seed)
    if as_json:
        click.echo(json.dumps({**found.document(), "top_up": None if steps is None else steps.document()}))
    else:
        click.echo("\n".join([*_overlap_lines(found), *([] if steps is None else _top_up_lines(steps))]))
    sys.exit(1 if found.tasks is None else 0)


@plan.command()
@click.option("--lot", type=int, required=True, help="Labels that are accepted or rejected together.")
@click.option("--tolerable", type=float, default=0.05, show_default=True, help="Largest share of wrong labels.")
@click.option("--confidence", type=float, default=0.95, show_default=True)
@click.option("--floor", "floor_share", type=float, default=FLOOR, show_default=True, help="Least share to audit.")
@click.option(
    "--scheme", type=click.Choice(["guarantee", "aql"]), default="guarantee", show_default=True,
    help="guarantee protects you lot by lot; aql (ISO 2859-1, ANSI/ASQ Z1.4) suits a long stream of lots.",
)  # fmt: skip
@click.option("--aql", type=float, help=f"Percent: {', '.join(f'{one:g}' for one in AQLS)}.")
@click.option(
    "--severity", type=click.Choice(["normal", "tightened", "reduced"]), default="normal", show_default=True,
    help="Of the aql scheme.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def audit(
    lot: int,
    tolerable: float,
    confidence: float,
    floor_share: float,
    scheme: str,
    aql: float | None,
    severity: str,
    as_json: bool,
) -> None:
    """How many labels a senior must look at, and what 0, 1 or 2 errors would prove.

    Example: annotation-ops plan audit --lot 500 --tolerable .05 --confidence .95
    """
    if scheme == "aql":
        if aql is None:
            raise InvalidInput("aql: found none, expected one with --scheme aql. Add --aql 2.5, say.")
        stream = lot_plan(lot, aql=aql, severity=Severity(severity))
        click.echo(json.dumps(stream.document()) if as_json else "\n".join(_aql_lines(stream)))
        return
    if aql is not None:
        raise InvalidInput(f"aql: found {aql:g} with the scheme guarantee, expected none. Add --scheme aql.")
    single = plan_audit(lot, tolerable=tolerable, confidence=confidence, floor_share=floor_share)
    click.echo(json.dumps(single.document()) if as_json else "\n".join(_audit_lines(single)))


def _shares(classes: int | None, prevalence: tuple[float, ...] | None) -> tuple[float, ...]:
    if prevalence is None:
        if classes is None:
            raise InvalidInput("classes: found none, expected --classes or --prevalence. Add --classes 4, say.")
        return equal_shares(classes)
    if classes is not None and classes != len(prevalence):
        raise InvalidInput(
            f"prevalence: found {len(prevalence)} shares for {classes} classes, expected one a class. Correct either."
        )
    return prevalence


def _looks(numbers: tuple[float, ...]) -> Looks:
    if len(numbers) != 3 or any(number != int(number) for number in numbers):
        raise InvalidInput(f"looks: found {numbers}, expected three whole numbers FIRST,STEP,CAP. Write 100,50,400.")
    first, step, cap = (int(number) for number in numbers)
    return Looks(first=first, step=step, cap=cap)


def _overlap_lines(found: OverlapPlan) -> list[str]:
    gate = found.gate
    people = f"{found.crowd.raters} annotators"
    if found.tasks is None:
        head = f"{found.max_tasks} tasks judged by {people} are too few for a power of {found.power:g}."
    else:
        head = f"Let {people} judge the same {found.judged} tasks."
    lines = [
        head,
        f"A batch whose {gate.statistic} is {found.truth:g} (criteria: {gate.threshold:g}, {gate.mode}) then {_ends(found.at_truth)}.",
    ]
    if found.at_bad is not None:
        lines.append(f"A batch at {found.bad_truth:g}, which must not pass, {_ends(found.at_bad)}.")
    cost = "" if found.cost is None else f", {found.cost:,.2f} at {found.price:g} each"
    lines.append(f"Cost: {found.extra_judgements} judgements more than one a task{cost}.")
    if found.prevalence_index > IMBALANCED:
        lines.append(
            f"One class dominates, so the verdict will also ask for agreement on each class: {found.rare_class_tasks} overlap "
            "tasks, or a draw that favours the rarest class, bring ten tasks of it."
        )
    return lines


def _ends(outcomes: Outcomes) -> str:
    passes, error = outcomes.passes.value, outcomes.passes.error
    return (
        f"passes in {passes:.1%} of the cases (simulated, +-{2 * error:.1%}), stays undecided in "
        f"{outcomes.undecided.value:.1%} and is rejected in {outcomes.fails.value:.1%}"
    )


def _top_up_lines(steps: TopUpPlan) -> list[str]:
    looks = steps.looks
    lines = [
        f"In steps (look at {looks.first}, then every {looks.step} more, {looks.cap} at most): on average "
        f"{steps.plain.expected_tasks:.0f} tasks, {steps.plain.passes.value:.1%} pass, {steps.plain.undecided.value:.1%} end "
        f"undecided; a batch at {steps.worst_truth:g} passes in {steps.plain_at_worst.passes.value:.1%}."
    ]
    if steps.confidence_per_look is not None:
        lines.append(
            f"To keep that at {1 - steps.gate.confidence:.0%} ask each look for a confidence of {steps.confidence_per_look:.4g}: "
            f"on average {steps.adjusted.expected_tasks:.0f} tasks, {steps.adjusted.passes.value:.1%} pass, "
            f"{steps.adjusted.undecided.value:.1%} end undecided."
        )
    return lines


def _audit_lines(found: AuditPlan) -> list[str]:
    least = found.guarantee_sizes[0]
    floor = f"; the floor asks for {found.floor_size}" if found.floor_size else ""
    capped = f" (it never asks for more than {FLOOR_CAP})" if found.floor_size == FLOOR_CAP else ""
    lines = [
        f"Audit {found.size} of {found.lot} labels, drawn by annotator and class; accept with at most {found.accept} wrong.",
        f"A lot with more than {found.tolerable:.1%} wrong is then accepted in at most {1 - found.confidence:.0%} of the cases "
        f"(needs {least} with no error allowed{floor}{capped}).",
    ]
    for proof in found.proofs:
        word = "accept" if proof.accepted else "do not accept"
        lines.append(
            f"{proof.errors} wrong would prove, with {found.confidence:.0%} confidence, at most {proof.upper_bound:.1%} wrong: {word}."
        )
    good = found.tolerable / 5
    lines.append(f"A good lot with {good:.1%} wrong is accepted in {found.acceptance(good):.0%} of the cases.")
    return lines


def _aql_lines(found: LotPlan) -> list[str]:
    between = "" if found.reject == found.accept + 1 else "; between, accept and return to normal inspection"
    chances = ", ".join(f"{found.acceptance(rate):.0%} with {rate:.1%} wrong" for rate in found.rates)
    return [
        f"Audit {found.size} of {found.lot} labels (letter {found.letter}, {found.severity} inspection): accept with at most "
        f"{found.accept} wrong, reject from {found.reject}{between}.",
        f"Accepted: {chances}.",
        "An AQL protects the producer over a stream of lots; for a single lot use --scheme guarantee.",
    ]
