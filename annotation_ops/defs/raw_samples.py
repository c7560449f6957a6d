"""raw_samples[day]: the manifest of what arrived."""

from datetime import date

import dagster as dg

from annotation_ops.bootstrap import Parts
from annotation_ops.defs.declared import project_asset
from annotation_ops.defs.metadata import ingest_metadata
from annotation_ops.defs.partitions import days
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.ingest import ingest_day


def build(project: AnnotationProject) -> dg.AssetsDefinition:
    @project_asset(
        project,
        "raw_samples",
        kinds={"deltalake", "s3"},
        partitions_def=days(project),
        description="Objects of one day: digest, size, media type, metadata, slices. Contract breakers are in quarantine with "
        "the reason; a changed object is a new version.",
    )
    def raw_samples(context: dg.AssetExecutionContext, annotation_ops: dg.ResourceParam[Parts]) -> None:
        store = annotation_ops.store(project)
        for day in context.partition_keys:
            report = ingest_day(
                project,
                day=date.fromisoformat(day),
                store=store,
                lake=annotation_ops.lake,
                ledger=annotation_ops.ledger,
                decoder=annotation_ops.decoder,
                now=annotation_ops.clock.now(),
                run_id=context.run.run_id,
            )
            context.add_asset_metadata(ingest_metadata(report), partition_key=day)

    return raw_samples
