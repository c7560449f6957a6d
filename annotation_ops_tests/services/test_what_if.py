from dataclasses import replace

from annotation_ops.services.what_if import what_if
from annotation_ops_tests.services.workshop import FIRST, SECOND, Workshop


def test_the_same_criteria_flip_nothing(workshop: Workshop) -> None:
    workshop.complete()

    (only,) = what_if(workshop.project, workshop.project.criteria, ledger=workshop.ledger)

    assert (only.key, only.in_force, only.flips) == (FIRST, "PASS", False)


def test_stricter_criteria_name_the_commits_and_models_that_rest_on_a_flipped_verdict(workshop: Workshop) -> None:
    published = workshop.complete()
    receipt = workshop.train()
    before = (workshop.ledger.verdicts("digits"), workshop.ledger.audit_entries())
    stricter = replace(workshop.project.criteria, min_overlap_tasks=50)

    (only,) = what_if(workshop.project, stricter, ledger=workshop.ledger)

    assert (only.in_force, only.what_if, only.flips) == ("PASS", "INSUFFICIENT", True)
    assert only.label_commits == (published.commit_id,)
    assert only.models == (receipt.model_version,)
    assert (workshop.ledger.verdicts("digits"), workshop.ledger.audit_entries()) == before


def test_a_model_trained_before_the_labels_existed_is_not_touched(workshop: Workshop) -> None:
    workshop.reject()
    stricter = replace(workshop.project.criteria, min_overlap_tasks=50)

    (only,) = what_if(workshop.project, stricter, ledger=workshop.ledger)

    assert (only.in_force, only.label_commits, only.models) == ("FAIL", (), ())


def test_every_attempt_that_was_judged_is_judged_again(workshop: Workshop) -> None:
    workshop.reject()
    workshop.staff()
    workshop.complete(SECOND)
    lenient = replace(workshop.project.criteria, threshold=0.01, max_share_below=1.0, mode="point")

    found = what_if(workshop.project, lenient, ledger=workshop.ledger)

    assert [(one.key, one.in_force) for one in found] == [(FIRST, "FAIL"), (SECOND, "PASS")]
