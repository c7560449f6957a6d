"""ranked_samples[day]: what to label next."""

from datetime import date

import dagster as dg

from annotation_ops.bootstrap import Parts
from annotation_ops.defs.declared import key, project_asset
from annotation_ops.defs.metadata import rank_metadata
from annotation_ops.defs.partitions import days
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.rank import rank_day


def build(project: AnnotationProject) -> dg.AssetsDefinition:
    @project_asset(
        project,
        "ranked_samples",
        kinds={"deltalake", "numpy"},
        partitions_def=days(project),
        deps=[key(project, "predictions")],
        description="The pool in the order it is worth labelling: uncertain and diverse samples, with a random control share and "
        "stored inclusion probabilities. Samples already in a batch are left out.",
    )
    def ranked_samples(context: dg.AssetExecutionContext, annotation_ops: dg.ResourceParam[Parts]) -> None:
        for day in context.partition_keys:
            report = rank_day(
                project,
                day=date.fromisoformat(day),
                seed=annotation_ops.settings.seed,
                lake=annotation_ops.lake,
                ledger=annotation_ops.ledger,
                now=annotation_ops.clock.now(),
            )
            context.add_asset_metadata(rank_metadata(report), partition_key=day)

    return ranked_samples
