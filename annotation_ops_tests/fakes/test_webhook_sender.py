import pytest

from annotation_ops.domain.errors import TransientError
from annotation_ops_tests.fakes.webhook_sender import MemorySender


def test_answers_are_given_in_turn_and_the_last_one_stays() -> None:
    sender = MemorySender({"https://a/": (500, 0, 200)})

    statuses = [sender.send("https://a/", {"webhook-id": "m"}, b"x").status]
    with pytest.raises(TransientError):
        sender.send("https://a/", {"webhook-id": "m"}, b"x")
    statuses += [sender.send("https://a/", {"webhook-id": "m"}, b"x").status for _ in range(2)]

    assert statuses == [500, 200, 200]
    assert sender.send("https://b/", {"webhook-id": "n"}, b"y").status == 204
    assert [(sent.id, sent.body) for sent in sender.sent] == [("m", "x")] * 4 + [("n", "y")]
