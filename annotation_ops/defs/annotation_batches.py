"""annotation_batches[batch]: tasks frozen, routed and sent to people."""

import dagster as dg

from annotation_ops.bootstrap import Parts
from annotation_ops.defs.declared import key, project_asset
from annotation_ops.defs.metadata import dispatch_metadata
from annotation_ops.defs.partitions import batches
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.dispatch import dispatch_attempt
from annotation_ops.services.plan import plan_attempt


def build(project: AnnotationProject) -> dg.AssetsDefinition:
    @project_asset(
        project,
        "annotation_batches",
        kinds={"sql", project.workflow.platform},
        partitions_def=batches(project),
        deps=[dg.AssetDep(key(project, "ranked_samples"), partition_mapping=dg.AllPartitionMapping())],
        pool=f"annotation-platform-{project.workflow.platform}",
        description="One batch attempt on the annotation platform. Materializing it again finds what exists: it never sends a task "
        "twice. The run ends when the tasks are out; people work for hours or days.",
    )
    def annotation_batches(context: dg.AssetExecutionContext, annotation_ops: dg.ResourceParam[Parts]) -> None:
        platform = annotation_ops.platform(project)
        ledger, lake, clock = annotation_ops.ledger, annotation_ops.lake, annotation_ops.clock
        for batch in context.partition_keys:
            plan_attempt(project, batch, lake=lake, ledger=ledger, seed=annotation_ops.settings.seed, now=clock.now())
            report = dispatch_attempt(
                project, batch, ledger=ledger, lake=lake, platform=platform, owner=context.run.run_id, now=clock.now()
            )
            context.add_asset_metadata(dispatch_metadata(project, report, annotation_ops), partition_key=batch)

    return annotation_batches
