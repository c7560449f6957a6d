"""predictions[day]: the pool as the current model sees it."""

from datetime import date

import dagster as dg

from annotation_ops.bootstrap import Parts
from annotation_ops.defs.declared import key, project_asset
from annotation_ops.defs.metadata import predict_metadata
from annotation_ops.defs.partitions import days
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.predict import predict_day


def build(project: AnnotationProject) -> dg.AssetsDefinition:
    @project_asset(
        project,
        "predictions",
        kinds={"deltalake", "mlflow", "scikitlearn"},
        partitions_def=days(project),
        deps=[key(project, "raw_samples")],
        description="Class probabilities and embeddings of every sample nobody was asked about up to this day, by the registered "
        "model or from the declared prediction log.",
    )
    def predictions(context: dg.AssetExecutionContext, annotation_ops: dg.ResourceParam[Parts]) -> None:
        store = annotation_ops.store(project)
        for day in context.partition_keys:
            report = predict_day(
                project,
                day=date.fromisoformat(day),
                lake=annotation_ops.lake,
                ledger=annotation_ops.ledger,
                tracking=annotation_ops.tracking,
                store=store,
                logs=annotation_ops.logs(project),
                decoder=annotation_ops.decoder,
            )
            context.add_asset_metadata(predict_metadata(report), partition_key=day)

    return predictions
