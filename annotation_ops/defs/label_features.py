"""label_features[batch]: gold labels in the bitemporal feature table, with lineage."""

import dagster as dg

from annotation_ops.bootstrap import Parts
from annotation_ops.defs.declared import key, project_asset
from annotation_ops.defs.metadata import publish_metadata
from annotation_ops.defs.partitions import batches
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.publish import publish_attempt


def build(project: AnnotationProject) -> dg.AssetsDefinition:
    @project_asset(
        project,
        "label_features",
        kinds={"deltalake", "mlflow"},
        partitions_def=batches(project),
        deps=[key(project, "qa_passed_labels")],
        description="Rows of the feature-store table from batches that passed. Publishing again writes nothing new; a late "
        "correction appends rows with a higher label_revision.",
    )
    def label_features(context: dg.AssetExecutionContext, annotation_ops: dg.ResourceParam[Parts]) -> None:
        for batch in context.partition_keys:
            report = publish_attempt(
                project,
                batch,
                ledger=annotation_ops.ledger,
                lake=annotation_ops.lake,
                tracking=annotation_ops.tracking,
                lake_uri=annotation_ops.settings.lake,
                now=annotation_ops.clock.now(),
            )
            context.add_asset_metadata(publish_metadata(report), partition_key=batch)

    return label_features
