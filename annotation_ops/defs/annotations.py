"""annotations[batch]: the judgements of a complete batch attempt, copied from the ledger to the lake."""

import dagster as dg

from annotation_ops.bootstrap import Parts
from annotation_ops.defs.declared import key, project_asset
from annotation_ops.defs.metadata import annotations_metadata
from annotation_ops.defs.partitions import batches
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.judge import flush_annotations


def build(project: AnnotationProject) -> dg.AssetsDefinition:
    @project_asset(
        project,
        "annotations",
        kinds={"deltalake"},
        partitions_def=batches(project),
        deps=[key(project, "annotation_batches")],
        description="Who answered what, and how long it took. Annotators are pseudonymous.",
    )
    def annotations(context: dg.AssetExecutionContext, annotation_ops: dg.ResourceParam[Parts]) -> None:
        for batch in context.partition_keys:
            flush_annotations(project, batch, ledger=annotation_ops.ledger, lake=annotation_ops.lake)
            context.add_asset_metadata(annotations_metadata(project, batch, annotation_ops), partition_key=batch)

    return annotations
