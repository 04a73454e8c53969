import json
from pathlib import Path

import pytest
from PIL import Image

from mblip.evaluation import Setup
from mblip.evaluation.tasks.babel_imagenet_mc import babel_imagenet_mc

REAL = Path(__file__).parents[4] / "shared" / "data"
SYNSETS = {f"n{number:08d}": number for number in range(6)}
LABELS = {
    "EN": [[0, 1, 2, 3, 4, 5], ["tench", "dumbbell", "barbell", "crane", "jay", "kite"]],
    "DE": [[0, 1, 2, 3, 4, 5], ["Schleie", "Hantel", "hantel", "Kran", "Häher", "Milan"]],
    "AR": [[0, 2, 3, 4], ["سمكة", "أثقال", "رافعة", "زرياب"]],
}


@pytest.fixture
def world(tmp_path):
    """Eleven photos of class 0 and one of class 5; what is similar to each of them."""
    folder = tmp_path / "photos"
    folder.mkdir()
    names = [f"n00000000_{number:02d}" for number in range(11)] + ["n00000005_00"]
    for name in names:
        Image.new("RGB", (2, 2)).save(folder / f"{name}.png")
    (tmp_path / "imagenet_classes.json").write_text(json.dumps(SYNSETS))
    (tmp_path / "labels.json").write_text(json.dumps(LABELS), encoding="utf-8")
    lines = [json.dumps({"photo": name, "classes": [5, 2, 1, 0, 4, 3]}) for name in names]
    (tmp_path / "nearest.jsonl").write_text("\n".join(lines))
    return {"photos": folder, "labels": tmp_path / "labels.json"}


def test_the_wrong_options_are_the_nearest_names_that_the_language_has_and_that_differ(world, tmp_path):
    task = babel_imagenet_mc(Setup(), **world, nearest=tmp_path / "nearest.jsonl")
    examples = {example.id: example for example in task.examples}
    german, arabic = examples["n00000005_00/de"], next(e for e in task.examples if e.language == "ar")
    assert set(german.facts.values()) == {"Milan", "hantel", "Schleie", "Häher"}
    assert german.facts[german.references[0]] == "Milan"
    assert set(arabic.facts.values()) == {"سمكة", "أثقال", "زرياب", "رافعة"}
    assert arabic.facts[arabic.references[0]] == "سمكة"


def test_the_prompt_is_centurio_s(world, tmp_path):
    task = babel_imagenet_mc(Setup(), **world, nearest=tmp_path / "nearest.jsonl", languages=("de",))
    example = task.examples[-1]
    assert example.prompt == (
        "Which of these choices (in German) is shown in the image?\nChoices:\n"
        + "\n".join(f"{letter}. {text}" for letter, text in example.facts.items())
        + "\nAnswer with the letter from the given choices directly."
    )
    assert (task.protocol, task.changes) == ("centurio", ())
    assert task.marks == ("wrong names found anew", "11 of 10,000 photos")
    assert task.generation.arguments()["max_new_tokens"] == 10


def test_the_first_ten_photos_of_a_class_are_asked_about_in_every_language_that_names_it(world):
    task = babel_imagenet_mc(Setup(), **world)
    found = [(example.image_id.split("/")[1].split("_")[0], example.language) for example in task.examples]
    assert {pair: found.count(pair) for pair in found} == {
        ("n00000000", "en"): 10,
        ("n00000000", "de"): 10,
        ("n00000000", "ar"): 10,
        ("n00000005", "en"): 1,
        ("n00000005", "de"): 1,
    }
    assert "n00000000_10" not in {example.image_id.split("/")[1] for example in task.examples}
    assert (task.protocol, task.marks[0]) == ("own", "wrong names drawn")


def test_an_argument_that_is_not_the_protocol_s_is_named(world, tmp_path):
    task = babel_imagenet_mc(
        Setup(), **world, nearest=tmp_path / "nearest.jsonl", answer_by="text", list_options=False, answering="rank"
    )
    assert task.changes == ("answer_by text", "list_options False", "answering rank")
    assert task.examples[0].prompt == "What is in the image? Short answer in English:"


def test_a_photo_without_nearest_names_is_an_error(world, tmp_path):
    (tmp_path / "nearest.jsonl").write_text('{"photo": "n00000005_00", "classes": [1]}')
    with pytest.raises(ValueError, match=r"nearest.jsonl has no line for the photo n00000000_.*Write it for"):
        babel_imagenet_mc(Setup(), **world, nearest=tmp_path / "nearest.jsonl")


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="needs the sample data")
def test_real_photos_are_asked_about_in_over_eighty_languages_with_the_right_letter_evenly_spread():
    task = babel_imagenet_mc(Setup(), photos=REAL / "imagenet", labels=REAL / "babel_imagenet" / "babel_imagenet.json")
    letters = [example.references[0] for example in task.examples]
    assert len({example.language for example in task.examples}) > 80
    assert all(len(example.candidates) == 4 for example in task.examples)
    assert all(0.23 < letters.count(letter) / len(letters) < 0.27 for letter in "ABCD")
