from xml.etree import ElementTree

import pytest

from annotation_ops.adapters.platforms.label_studio.label_config import config_hash, instructions_html, label_config
from annotation_ops.domain.errors import Unsupported
from annotation_ops.ports.annotation_platform import PlatformProjectSpec


def spec(task_type: str, media: str = "image", labels: tuple[str, ...] = ("a", "b")) -> PlatformProjectSpec:
    return PlatformProjectSpec("digits", task_type, labels, "", media, "1.0.0+aaaaaaaaaaaa")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("task_type", "media", "tag"),
    [
        ("classification", "image", "Choices"),
        ("classification", "audio", "Choices"),
        ("ordinal", "text", "Choices"),
        ("boxes", "image", "RectangleLabels"),
        ("polygons", "image", "PolygonLabels"),
        ("spans", "text", "Labels"),
        ("text", "audio", "TextArea"),
    ],
)
def test_every_task_type_has_its_control_beside_the_medium(task_type: str, media: str, tag: str) -> None:
    view = ElementTree.fromstring(label_config(spec(task_type, media)))
    (shown,), (asked,) = view.findall(media.capitalize()), view.findall(tag)

    assert len(view) == 2
    assert (shown.tag, shown.attrib["value"]) == (media.capitalize(), f"${media}")
    assert (asked.tag, asked.attrib["toName"]) == (tag, shown.attrib["name"])
    assert [option.attrib["value"] for option in asked] == ([] if tag == "TextArea" else ["a", "b"])


def test_labels_with_markup_come_out_as_they_are() -> None:
    odd = ('"quoted"', "<b>&amp;</b>", "it's", "Straße")
    asked, _ = list(ElementTree.fromstring(label_config(spec("classification", labels=odd))))

    assert tuple(option.attrib["value"] for option in asked) == odd


@pytest.mark.parametrize(
    ("labels", "keys"),
    [(("0", "1"), ["0", "1"]), (("A", "b"), ["a", "b"]), (("a", "A"), [None, None]), (("1", "cat"), [None, None])],
)
def test_labels_of_one_character_are_their_own_hotkeys(labels: tuple[str, ...], keys: list[str | None]) -> None:
    asked, _ = list(ElementTree.fromstring(label_config(spec("classification", labels=labels))))

    assert [option.attrib.get("hotkey") for option in asked] == keys


@pytest.mark.parametrize(("task_type", "media"), [("masks", "image"), ("boxes", "text"), ("spans", "image")])
def test_what_label_studio_is_not_asked_for_is_unsupported(task_type: str, media: str) -> None:
    with pytest.raises(Unsupported, match="digits: found"):
        label_config(spec(task_type, media))


def test_the_hash_changes_with_what_people_can_answer_only() -> None:
    assert config_hash(spec("boxes")) == config_hash(spec("boxes"))
    assert config_hash(spec("boxes")) != config_hash(spec("polygons"))
    assert config_hash(spec("boxes")) != config_hash(spec("boxes", labels=("b", "a")))


def test_markup_inside_the_guideline_is_shown_and_never_run() -> None:
    html = instructions_html(
        "# Digits\n\n<script>alert(1)</script>\n\n[a](javascript:alert(1))\n\n|a|b|\n|-|-|\n|1|2|\n"
    )

    assert "<h1>Digits</h1>" in html
    assert "<td>1</td>" in html
    assert "<script>" not in html
    assert 'href="javascript' not in html
