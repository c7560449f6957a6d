"""qa_passed_labels[batch]: the verdict on a batch attempt, and its gold labels when it passed."""

from collections.abc import Iterator

import dagster as dg

from annotation_ops.bootstrap import Parts
from annotation_ops.defs.declared import key, project_asset
from annotation_ops.defs.metadata import check_metadata, judge_metadata
from annotation_ops.defs.partitions import batches
from annotation_ops.defs.reports import MOST_REPORTS, write_batch_report
from annotation_ops.domain.batches import makes_labels
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.judge import judge_attempt, verdict_in_force
from annotation_ops.services.publish import write_gold

CHECK = "batch_passed_qa"


def build(project: AnnotationProject) -> dg.AssetsDefinition:
    asset_key = key(project, "qa_passed_labels")

    @project_asset(
        project,
        "qa_passed_labels",
        kinds={"deltalake", "numpy"},
        partitions_def=batches(project),
        deps=[key(project, "annotations")],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=asset_key,
                blocking=True,
                description="Shows the recorded verdict. The gate itself is the verdict row: publishing reads it, not this check.",
            )
        ],
        description="Consensus labels of the batch attempt. Written only when the verdict on the whole attempt is PASS.",
    )
    def qa_passed_labels(
        context: dg.AssetExecutionContext, annotation_ops: dg.ResourceParam[Parts]
    ) -> Iterator[dg.MaterializeResult[None]]:
        ledger = annotation_ops.ledger
        reports = {}
        for batch in context.partition_keys:
            reports[batch] = judge_attempt(project, batch, ledger=ledger, now=annotation_ops.clock.now())
            labels, unsettled = write_gold(project, batch, ledger=ledger, lake=annotation_ops.lake)
            shown = judge_metadata(project, reports[batch], labels=labels, unsettled=unsettled)
            shown |= (
                write_batch_report(project, batch, annotation_ops)
                if len(reports) <= MOST_REPORTS
                else {
                    "report": f"not written: a run writes {MOST_REPORTS}; use `annotation-ops report --batch {batch}`"
                }
            )
            context.add_asset_metadata(shown, partition_key=batch)
        in_force = {batch: verdict_in_force(project.name, batch, ledger=ledger) for batch in reports}
        passed = all(
            verdict is not None and (verdict.outcome == "PASS" or not makes_labels(batch))
            for batch, verdict in in_force.items()
        )
        yield dg.MaterializeResult(
            check_results=[
                dg.AssetCheckResult(
                    check_name=CHECK,
                    passed=passed,
                    severity=dg.AssetCheckSeverity.ERROR if len(reports) == 1 else dg.AssetCheckSeverity.WARN,
                    metadata=check_metadata(reports, in_force),
                )
            ]
        )

    return qa_passed_labels
