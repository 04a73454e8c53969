from collections import Counter

import pytest

from mblip.evaluation import Setup
from scenes import task as scenes_file
from scenes.languages import SCENE_LANGUAGES, caption
from scenes.source import scenes as training_scenes
from scenes.task import draw_scene_images, scenes
from scenes.world import is_held_out, sample_held_out_scene


def by_condition(task):
    groups = {}
    for example in task.examples:
        groups.setdefault(example.condition, []).append(example)
    return groups


def test_every_language_is_asked_about_the_same_images():
    task = scenes(Setup(), languages=["en", "sw", "hi"], num_images=3, conditions=["as_is"])
    images = {
        language: [e.image_id for e in task.examples if e.language == language] for language in ("en", "sw", "hi")
    }
    assert images == {code: ["unseen-0", "unseen-1", "unseen-2"] for code in ("en", "sw", "hi")}
    assert len({id(example.images[0]) for example in task.examples}) == 3


def test_images_as_is_show_held_out_compositions_and_references_are_their_captions():
    shown = [p.scene for p in draw_scene_images(20, sample_held_out_scene, stream="unseen", seed=5)]
    task = scenes(Setup(), languages=["de"], num_images=20, seed=5, conditions=["as_is"])
    assert all(is_held_out(scene) for scene in shown)
    assert [example.references for example in task.examples] == [(caption(scene, "de"),) for scene in shown]


def test_seen_compositions_come_with_two_groups_and_nothing_held_out(monkeypatch):
    drawn = []

    def draw(num_images, sample, *, stream, seed):
        images = draw_scene_images(num_images, sample, stream=stream, seed=seed)
        drawn.append([image.scene for image in images])
        return images

    monkeypatch.setattr(scenes_file, "draw_scene_images", draw)
    scenes(Setup(), languages=["en"], num_images=20, conditions=["seen"])
    assert [len(group) for group in drawn] == [20]
    assert not any(is_held_out(scene) or scene.reference is None for scene in drawn[0])


def test_no_image_is_one_of_training_whatever_the_seed():
    trained = {example.images[0].tobytes() for example in training_scenes(7, num_images=50)}
    asked = scenes(Setup(), languages=["en"], num_images=50, seed=7, conditions=["as_is", "seen"]).examples
    assert not trained & {example.images[0].tobytes() for example in asked}


def test_images_show_different_scenes_and_more_images_change_none():
    few = draw_scene_images(5, sample_held_out_scene, stream="unseen", seed=0)
    many = draw_scene_images(50, sample_held_out_scene, stream="unseen", seed=0)
    assert len({image.scene for image in many}) == 50
    assert [p.image.tobytes() for p in few] == [p.image.tobytes() for p in many[:5]]


def test_shuffled_images_never_show_what_the_reference_says():
    groups = by_condition(scenes(Setup(), languages=["en"], num_images=30, conditions=["as_is", "shuffled"]))
    shown = {example.image_id: example.references for example in groups["as_is"]}
    assert len(groups["shuffled"]) == 30
    assert all(shown[example.image_id] != example.references for example in groups["shuffled"])


def test_questions_are_counted_by_kind_one_of_each_about_an_image():
    task = scenes(Setup(), languages=["en", "tr"], num_images=10, conditions=["questions"])
    counts = Counter((example.condition, example.language, example.image_id) for example in task.examples)
    assert set(counts.values()) == {1}
    assert {condition for condition, _, _ in counts} == {"question: colour", "question: count", "question: position"}


@pytest.mark.parametrize(
    ("template", "prompt", "changes"),
    [
        ("first", "Caption in Swahili: ", ()),
        ("held_out", "Please give the picture a title in Swahili.", ("template held_out",)),
    ],
)
def test_the_template_is_one_for_all_and_the_held_out_one_a_change(template, prompt, changes):
    task = scenes(Setup(), languages=["sw"], num_images=2, conditions=["as_is"], template=template)
    assert {example.prompt for example in task.examples} == {prompt}
    assert task.changes == changes


def test_unless_told_otherwise_all_twelve_languages_are_asked():
    assert {example.language for example in scenes(Setup(), num_images=2).examples} == set(SCENE_LANGUAGES)


def test_an_unknown_condition_is_an_error_that_names_those_there_are():
    with pytest.raises(
        ValueError, match=r"conditions \['blurred'\].*one condition of as_is, shuffled, seen, questions"
    ):
        scenes(Setup(), conditions=["blurred"])


def test_a_language_without_captions_is_an_error():
    with pytest.raises(ValueError, match="no captions in 'cy'"):
        scenes(Setup(), languages=["cy"], num_images=2)
