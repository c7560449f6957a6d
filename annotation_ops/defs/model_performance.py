"""model_performance: what the model tracker says, and the incidents that follow from it."""

import dagster as dg

from annotation_ops.bootstrap import Parts
from annotation_ops.defs.declared import key, project_asset
from annotation_ops.defs.metadata import observe_metadata
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.monitor import observe


def build(project: AnnotationProject) -> dg.AssetsDefinition:
    @project_asset(
        project,
        "model_performance",
        kinds={"deltalake", "mlflow"},
        deps=[key(project, "trained_model")],
        description="Metrics per slice as logged to MLflow. A statistically sound drop opens one incident with its slices; the "
        "conductor sensor answers it with one capped relabel batch.",
    )
    def model_performance(annotation_ops: dg.ResourceParam[Parts]) -> dg.MaterializeResult[None]:
        report = observe(
            project,
            tracking=annotation_ops.tracking,
            lake=annotation_ops.lake,
            ledger=annotation_ops.ledger,
            now=annotation_ops.clock.now(),
        )
        return dg.MaterializeResult(metadata=observe_metadata(report))

    return model_performance
