import json
from collections import Counter

import pytest
from PIL import Image
from table_model import knows_all

from mblip.data import apply_prompt
from mblip.data.sources.babel_imagenet import BabelImageNet, HoldOut
from mblip.evaluation import Setup, conditions_table, evaluate_task
from mblip.evaluation.tasks.babel_imagenet import NameMatch, babel_imagenet

LABELS = {"EN": [[0, 1], ["tench", "goldfish"]], "DE": [[0, 1], ["Schleie", "Goldfisch"]], "SW": [[1], ["samaki"]]}
NONE = HoldOut(share=0.0)
SYNSETS = {"n01440764": 0, "n01443537": 1}


@pytest.fixture
def photos(tmp_path):
    """A photo of each of two classes; the second has a name in Swahili."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for synset, index in SYNSETS.items():
        Image.new("RGB", (8, 8), (200 * index, 0, 0)).save(folder / f"{synset}_{index}.png")
    (tmp_path / "imagenet_classes.json").write_text(json.dumps(SYNSETS))
    (tmp_path / "labels.json").write_text(json.dumps(LABELS), encoding="utf-8")
    return {"photos": folder, "labels": tmp_path / "labels.json"}


def test_every_photo_is_named_in_every_language_that_has_a_name_for_it(photos):
    task = babel_imagenet(Setup(), **photos, held_out_share=0.0)
    assert [(example.image_id, example.prompt, example.references) for example in task.examples] == [
        ("babel_imagenet/n01440764_0", "What is in the image? Short answer in English:", ("tench",)),
        ("babel_imagenet/n01440764_0", "What is in the image? Short answer in German:", ("Schleie",)),
        ("babel_imagenet/n01443537_1", "What is in the image? Short answer in English:", ("goldfish",)),
        ("babel_imagenet/n01443537_1", "What is in the image? Short answer in German:", ("Goldfisch",)),
        ("babel_imagenet/n01443537_1", "What is in the image? Short answer in Swahili:", ("samaki",)),
    ]


def test_the_conditions_are_the_splits_and_no_name_is_in_both(photos):
    task = babel_imagenet(Setup(), **photos, held_out_share=0.5)
    names = {split: {e.references for e in task.examples if e.condition == split} for split in ("train", "held_out")}
    assert not names["train"] & names["held_out"]
    assert len(names["train"] | names["held_out"]) == 5


def test_a_model_that_knows_the_names_is_right_in_every_language_and_group(photos):
    task = babel_imagenet(Setup(), **photos, held_out_share=0.0)
    results = evaluate_task(*_opening(task), task)
    scores = results.by_language("train")
    assert {code: (score.value, score.num_prompts) for code, score in scores.items()} == {
        "en": (1.0, 2),
        "de": (1.0, 2),
        "sw": (1.0, 1),
    }
    assert "| high | 2 | 100.0 [" in conditions_table(results)


def test_names_are_asked_in_the_templates_that_a_training_drew_for_them(photos):
    drawn = {
        seed: [
            example.prompt
            for example in babel_imagenet(Setup(), **photos, held_out_share=0.0, template_seed=seed).examples
        ]
        for seed in (1, 2)
    }
    trained = [
        apply_prompt(example, seed=2).prompt
        for example in BabelImageNet.read(*photos.values()).examples("train", hold_out=NONE, tasks=("image_naming",))
    ]
    assert drawn[2] == trained != drawn[1]


def test_the_first_split_is_asked_again_with_each_others_photos(photos):
    plain = babel_imagenet(Setup(), **photos, held_out_share=0.0).examples
    shuffled = babel_imagenet(Setup(), **photos, held_out_share=0.0, shuffled=True).examples[len(plain) :]
    assert {example.condition for example in shuffled} == {"shuffled"}
    for example, straight in zip(shuffled, plain, strict=True):
        assert (example.prompt, example.references) == (straight.prompt, straight.references)
        assert example.images != straight.images


def _opening(task):
    """A model that knows all, with the photos of the task opened."""
    import dataclasses

    opened = [
        dataclasses.replace(example, images=tuple(Image.open(image).convert("RGB") for image in example.images))
        for example in task.examples
    ]
    return knows_all(opened)


def test_no_name_in_a_split_is_an_error(photos):
    with pytest.raises(ValueError, match=r"no names of 2 photos in the splits \['held_out'\]"):
        babel_imagenet(Setup(), **photos, held_out_share=0.0, splits=["held_out"])


def test_all_names_of_a_held_out_language_are_a_split_of_their_own(photos):
    task = babel_imagenet(
        Setup(), **photos, held_out_share=0.0, held_out_languages=("de",), splits=("train", "held_out_language")
    )
    assert [(e.condition, e.references) for e in task.examples] == [
        ("train", ("tench",)),
        ("train", ("goldfish",)),
        ("train", ("samaki",)),
        ("held_out_language", ("Schleie",)),
        ("held_out_language", ("Goldfisch",)),
    ]


def test_ranked_names_are_those_of_the_language(photos):
    task = babel_imagenet(Setup(), **photos, held_out_share=0.0, answering="rank", rank_by="calibrated")
    assert [example.candidates for example in task.examples[2:]] == [
        ("goldfish", "tench"),
        ("Goldfisch", "Schleie"),
        ("samaki",),
    ]


def test_rounds_ask_about_so_many_photos_of_a_class(photos):
    first = photos["photos"] / "n01443537_1.png"
    (photos["photos"] / "n01443537_2.png").write_bytes(first.read_bytes())
    task = babel_imagenet(Setup(), **photos, held_out_share=0.0, rounds=1)
    assert Counter((e.language, e.references[0]) for e in task.examples) == {
        ("en", "tench"): 1,
        ("de", "Schleie"): 1,
        ("en", "goldfish"): 1,
        ("de", "Goldfisch"): 1,
        ("sw", "samaki"): 1,
    }


def test_a_synonym_or_another_case_is_any_name_but_not_the_label(photos):
    (photos["photos"].parent / "words.txt").write_text("n01443537\tgoldfish, Carassius auratus\n")
    english = babel_imagenet(Setup(), **photos, languages=("en",), held_out_share=0.0).examples
    said = ["Tench (fish)", "Carassius auratus"]
    scored = NameMatch().score(english, said)
    assert scored.figures == {"exact_match": 0.0, "any_name": 1.0}
