"""project_report: one HTML file on the quality, the people and the cost of the whole project."""

import dagster as dg

from annotation_ops.bootstrap import Parts
from annotation_ops.defs.declared import key, project_asset
from annotation_ops.defs.reports import write_project_report
from annotation_ops.domain.project.annotation_project import AnnotationProject


def build(project: AnnotationProject) -> dg.AssetsDefinition:
    @project_asset(
        project,
        "project_report",
        kinds={"html"},
        deps=[
            dg.AssetDep(key(project, name), partition_mapping=dg.AllPartitionMapping())
            for name in ("qa_passed_labels", "label_features")
        ],
        description="Agreement over time, annotators, pairs, confusions, label mix, verdicts, cost and rework of all batches, as "
        "one file that needs no server. The same records give the same bytes.",
    )
    def project_report(annotation_ops: dg.ResourceParam[Parts]) -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata=write_project_report(project, annotation_ops))

    return project_report
