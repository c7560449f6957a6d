from annotation_ops.domain.batches import BatchState
from annotation_ops.services.evidence import known_answer
from annotation_ops_tests.services.workshop import FIRST, Workshop, digits

SECOND_BATCH = FIRST.replace("active-01", "active-02")
WITH_GOLD = digits(
    (
        ("workflow.yaml", "batch_size: 60", "batch_size: 4"),
        ("workflow.yaml", "platform: simulated", "platform: simulated\ngold_share: 0.5"),
        ("criteria.yaml", "version: 1.0.0", "version: 1.0.0\ngold: {min_score: 0.9, min_tasks: 2}"),
        ("criteria.yaml", "min_overlap_tasks: 3", "min_overlap_tasks: 2"),
    )
)


def second_batch(workshop: Workshop) -> None:
    workshop.project = WITH_GOLD
    workshop.complete()
    workshop.plan(SECOND_BATCH)


def test_a_batch_hides_tasks_whose_answer_is_known(workshop: Workshop) -> None:
    second_batch(workshop)

    tasks = workshop.tasks(SECOND_BATCH)
    gold = {task.sample_id: answer["label"] for task in tasks if (answer := known_answer(task)) is not None}

    assert len(tasks) == 3
    assert len(gold) == 1
    assert gold.items() <= workshop.current_labels().items()


def test_what_the_platform_is_told_does_not_tell_gold_tasks_apart(workshop: Workshop) -> None:
    second_batch(workshop)
    workshop.dispatch(SECOND_BATCH)

    for item in workshop.platform.fetch_annotations(workshop.platform_project(), cursor=None, limit=1000).items:
        assert "gold" not in str(item)


def test_gold_tasks_are_scored_and_never_published_again(workshop: Workshop) -> None:
    second_batch(workshop)
    workshop.dispatch(SECOND_BATCH)
    workshop.work()
    workshop.collect()

    report = workshop.judge(SECOND_BATCH)

    assert report.state is BatchState.PASSED
    assert report.document["gold_score"]["value"] == 1.0
    assert workshop.publish(SECOND_BATCH).labels == 2
