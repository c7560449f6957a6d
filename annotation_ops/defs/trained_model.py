"""trained_model: the user's training, started on a pinned version of the feature table."""

import dagster as dg

from annotation_ops.bootstrap import Parts
from annotation_ops.defs.declared import key, project_asset
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.train import request_training


def build(project: AnnotationProject) -> dg.AssetsDefinition:
    @project_asset(
        project,
        "trained_model",
        kinds={"mlflow", "scikitlearn"},
        deps=[dg.AssetDep(key(project, "label_features"), partition_mapping=dg.AllPartitionMapping())],
        description="The training declared in monitor.yaml, started on the newest label commit; the same commit never trains twice.",
    )
    def trained_model(annotation_ops: dg.ResourceParam[Parts]) -> dg.MaterializeResult[None]:
        receipt = request_training(
            project,
            ledger=annotation_ops.ledger,
            lake=annotation_ops.lake,
            trigger=annotation_ops.trigger(project),
            lake_uri=annotation_ops.settings.lake,
            now=annotation_ops.clock.now(),
        )
        return dg.MaterializeResult(
            metadata={
                "mlflow_run": receipt.run_id,
                "model_version": receipt.model_version or "registered by the pipeline later",
                "request_key": receipt.request_key,
            }
        )

    return trained_model
