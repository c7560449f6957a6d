"""annotators: where everybody stands, what would help them, and the calibrations that are due."""

import dagster as dg

from annotation_ops.bootstrap import Parts
from annotation_ops.defs.declared import key, project_asset
from annotation_ops.defs.metadata import annotators_metadata
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.services.calibration import calibrate


def build(project: AnnotationProject) -> dg.AssetsDefinition:
    @project_asset(
        project,
        "annotators",
        kinds={"sql", "numpy"},
        deps=[dg.AssetDep(key(project, "label_features"), partition_mapping=dg.AllPartitionMapping())],
        description="Skill, drift and standing of every annotator, from recent work and calibrations. Materializing it plans the "
        "calibrations that are due; a flag leads to training and a new calibration, never to removal.",
    )
    def annotators(annotation_ops: dg.ResourceParam[Parts]) -> dg.MaterializeResult[None]:
        report = calibrate(
            project, ledger=annotation_ops.ledger, lake=annotation_ops.lake, now=annotation_ops.clock.now()
        )
        return dg.MaterializeResult(metadata=annotators_metadata(report))

    return annotators
