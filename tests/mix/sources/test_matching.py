"""Caption matching: half true, half false, and no right caption called wrong."""

from collections import Counter

import pytest

from mblip.data.example import Example
from mblip.data.prompts import apply_prompt
from mblip.data.skipped import SkipReport
from mblip.mix.filters.negatives import Negative
from mblip.mix.sources.matching import read_matching


def caption(number, text, image="dog", **fields):
    return Example(
        images=(f"{image}.jpg",), prompt="", target=text, language="en", task="captioning", source="captions",
        id=str(number), image_id=f"captions/{image}", **fields,
    )  # fmt: skip


def captions(number=200):
    return [caption(index, f"caption {index}", image=f"image {index}") for index in range(number)]


def always(text, **provenance):
    return lambda example: Negative(text, provenance)


def test_half_of_the_captions_are_true_and_half_false(tmp_path):
    examples = list(read_matching(captions, always("a zebra")))
    answers = Counter(example.target for example in examples)
    assert answers.total() == 200
    assert answers["yes"] == pytest.approx(100, abs=20)
    for source, example in zip(captions(), examples, strict=True):
        assert example.inputs["caption"] == (source.target if example.target == "yes" else "a zebra")
        assert (example.id, example.image_id, example.images) == (
            f"captions/{source.id}",
            source.image_id,
            source.images,
        )
        assert (example.task, example.source, example.language) == ("matching", "matching", "en")
    assert "Yes or no" in apply_prompt(examples[0], seed=0).prompt.replace("yes or no", "Yes or no")


def test_what_is_false_depends_on_seed_and_id_alone():
    answers = {example.id: example.target for example in read_matching(captions, always("a zebra"))}
    later = {example.id: example.target for example in read_matching(lambda: captions()[100:], always("a zebra"))}
    assert later == {id: answers[id] for id in later}
    other = {example.id: example.target for example in read_matching(captions, always("a zebra"), seed=1)}
    assert other != answers


def test_the_provenance_of_a_wrong_caption_goes_along_and_a_right_one_has_none():
    examples = read_matching(captions, always("a zebra", **{"negative.rank": "3"}))
    assert {(example.target, tuple(example.provenance.items())) for example in examples} == {
        ("no", (("negative.rank", "3"),)),
        ("yes", ()),
    }


@pytest.mark.parametrize("wrong", ["a dog on  a beach.", "A DOG on a beach", "it runs", "It runs!"])
def test_a_caption_of_the_image_itself_is_never_called_wrong_as_in_the_original(wrong):
    def of_a_dog():
        return [caption(index, "A dog on a beach.") for index in range(40)] + [caption(40, "It runs")]

    skipped = SkipReport()
    ours = list(read_matching(of_a_dog, always(wrong), skipped=skipped))
    assert {example.target for example in ours} == {"yes"}
    assert skipped.counts == {"wrong caption equal to one of the image's own": 41 - len(ours)}
    assert skipped.names["wrong caption equal to one of the image's own"][0].startswith("matching/captions/")
    released = list(read_matching(of_a_dog, always(wrong), as_released=True))
    assert Counter(example.target for example in released) == {"yes": len(ours), "no": 41 - len(ours)}
    assert {example.inputs["caption"] for example in released if example.target == "no"} == {wrong}


def test_the_caption_of_another_image_is_wrong_though_it_is_somewhere_right():
    examples = list(read_matching(captions, always("caption 7")))
    assert len([example for example in examples if example.target == "no"]) > 50


def test_a_caption_without_a_wrong_one_is_counted():
    skipped = SkipReport()
    examples = list(read_matching(captions, lambda example: None, skipped=skipped))
    assert {example.target for example in examples} == {"yes"}
    assert skipped.counts == {"no wrong caption found": 200 - len(examples)}
    list(read_matching(captions, always("an <image>"), skipped=skipped))
    assert skipped.counts["`<image>` in the text"] == 200 - len(examples)


def test_only_captions_are_matched():
    answer = Example(
        images=("dog.jpg",), prompt="", target="red", language="en", task="vqa", source="vqav2", id="1",
        image_id="dog", inputs={"question": "What color is it?"},
    )  # fmt: skip
    with pytest.raises(ValueError, match="Example '1' of 'vqav2' has the task 'vqa', expected 'captioning'"):
        list(read_matching(lambda: [answer], always("a zebra")))
