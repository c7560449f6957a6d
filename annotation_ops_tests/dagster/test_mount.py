"""A team's own code location, with an annotation project mounted in it."""

import dagster as dg

from annotation_ops.bootstrap import Parts
from annotation_ops.defs.mount import annotation_project_definitions
from annotation_ops.demo import digits
from annotation_ops.domain.tables import RAW_SAMPLES
from annotation_ops_tests.dagster.deployment import OTHERS_WARNINGS, QUIET, TODAY, Deployment

pytestmark = [*OTHERS_WARNINGS]


def test_a_team_mounts_a_project_beside_its_own_assets_and_brings_its_own_parts(
    here: Deployment, parts: Parts, instance: dg.DagsterInstance
) -> None:
    @dg.asset(deps=[dg.AssetKey(["digits", "raw_samples"])])
    def scans_of_the_day(annotation_ops: dg.ResourceParam[Parts]) -> dg.MaterializeResult[None]:
        table = annotation_ops.lake.read(RAW_SAMPLES, partition={"project": "digits"}, columns=["sample_id"])
        return dg.MaterializeResult(metadata={"scans": table.num_rows})

    location = dg.Definitions.merge(
        annotation_project_definitions(here.project),
        dg.Definitions(assets=[scans_of_the_day], resources={"annotation_ops": parts}),
    )
    here.deliver(parts, digits.load(seed=0).pool[:5], day=TODAY)

    ingested = location.resolve_job_def("digits_ingest").execute_in_process(
        instance=instance, partition_key=TODAY.isoformat(), run_config=QUIET
    )
    counted = location.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, asset_selection=[scans_of_the_day.key], run_config=QUIET
    )

    assert ingested.success
    (event,) = counted.asset_materializations_for_node("scans_of_the_day")
    assert event.metadata["scans"].value == 5
