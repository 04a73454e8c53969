"""CHAIR by hand, and against the scores of the original on real captions."""

import json
import os
from pathlib import Path

import pytest

from mblip.evaluation.metrics.chair import NamedObject, find_objects, read_synonyms, score_chair
from mblip.evaluation.metrics.chair_objects import objects_of, read_object_lists

pytest.importorskip("nltk", reason="nltk is not installed: `pip install mblip[eval]`")

REAL = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "chair"
needs_real_data = pytest.mark.skipif(
    not REAL.is_dir(), reason="no sample of chair: set MBLIP_DATA to a folder with chair/"
)
SYNONYMS = """person, man, woman, child, people, baby, passenger
bird, duck
bus, minibus
train, locomotive
tie, bow, bow tie
hot dog
cake,  cheesecake
chair, seat, stool
toilet, urinal
wine glass
dining table, table
dog, puppy
"""


@pytest.fixture
def category_of(tmp_path):
    path = tmp_path / "synonyms.txt"
    path.write_text(SYNONYMS, encoding="utf-8")
    return read_synonyms(path)


def categories(caption, category_of, **arguments):
    return [entry.category for entry in find_objects(caption, category_of, **arguments)]


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        ("Two MEN and a puppy.", ["person", "dog"]),
        ("A man, a man", ["person", "person"]),  # as often as it is named
        ("a baby bird", ["bird"]),  # no person
        ("a baby and a bird", ["person", "bird"]),
        ("a passenger train", ["train"]),
        ("a train track", []),
        ("a hot dog", ["hot dog"]),
        ("a hot puppy", ["dog"]),
        ("two wine glasses", ["wine glass"]),
        ("a glass of wine", []),
        ("a man in a bow tie", ["person", "tie"]),
        ("the seat of a toilet", ["toilet"]),  # no chair
        ("a toilet seat", ["toilet"]),
        ("a seat", ["chair"]),
        ("a bus", []),  # the singular of "bus" is "bu"
        ("two buses", ["bus"]),
        ("a cheesecake", []),  # " cheesecake" in the published list
        ("the man's dog", ["person", "dog"]),
        ("nothing of the kind", []),
        ("", []),
    ],
)
def test_objects_are_found_by_their_words(caption, named, category_of):
    assert categories(caption, category_of) == named


def test_a_full_stop_within_hides_a_word_unless_sentences_are_cut(category_of):
    caption = "There is a dog. A man is near."
    assert categories(caption, category_of) == ["person"]
    assert categories(caption, category_of, split_sentences=lambda text: text.split("  ")) == ["person"]
    assert categories(caption, category_of, split_sentences=lambda text: text.split(" A ")) == ["dog", "person"]


def test_scores_are_shares_of_captions_and_of_namings(category_of):
    scores = score_chair(
        ["a man and a dog", "a puppy, a table and a dog", "a field", ""],
        [{"person"}, ["dog"], [], {"bird"}],
        category_of,
    )
    assert scores.chair_s == 2 / 4
    assert scores.chair_i == 2 / 5
    assert [caption.chair_s for caption in scores.per_caption] == [1.0, 1.0, 0.0, 0.0]
    assert [caption.chair_i for caption in scores.per_caption] == [1 / 2, 1 / 3, None, None]
    assert scores.per_caption[1].hallucinated == (NamedObject("table", "dining table"),)
    assert (scores.num_objects, scores.num_without_objects, scores.num_empty) == (5, 2, 1)


def test_no_object_at_all_has_no_chair_i(category_of):
    scores = score_chair(["a field"], [[]], category_of)
    assert (scores.chair_s, scores.chair_i) == (0.0, None)


def test_objects_that_the_list_does_not_know_are_an_error(category_of):
    with pytest.raises(ValueError, match="Found the objects giraffe, puppy, expected categories"):
        score_chair(["a dog"], [["puppy", "giraffe", "dog"]], category_of)


def test_captions_without_objects_are_an_error(category_of):
    with pytest.raises(ValueError, match="Found 2 answers and 1 references"):
        score_chair(["a dog", "a cat"], [["dog"]], category_of)


def test_a_missing_list_of_synonyms_says_where_to_get_it(tmp_path):
    with pytest.raises(ValueError, match=r"Found no list of synonyms at .*Get it from https://github\.com/LisaAnne"):
        read_synonyms(tmp_path / "synonyms.txt")


def test_a_byte_order_mark_is_no_part_of_a_word(tmp_path):
    (tmp_path / "synonyms.txt").write_text("person, man\n", encoding="utf-8-sig")
    assert read_synonyms(tmp_path / "synonyms.txt") == {"person": "person", "man": "person"}


@pytest.mark.parametrize("text", ["person, man\n\ndog\n", "<!DOCTYPE html>\n", "person, , man\n"])
def test_a_list_of_synonyms_in_another_layout_is_an_error(text, tmp_path):
    path = tmp_path / "synonyms.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"synonyms\.txt, line \d: found .*expected a COCO category"):
        read_synonyms(path)


@needs_real_data
def test_the_scores_of_real_captions_are_reproduced():
    expected = json.loads((REAL / "expected_scores.json").read_text())
    captions = [json.loads(line) for line in (REAL / "captions.jsonl").read_text().splitlines()]
    assert len(captions) == expected["n_captions"] > 0
    shown = objects_of(read_object_lists(REAL / "objects.jsonl"), [entry["image"] for entry in captions])

    scores = score_chair([entry["caption"] for entry in captions], shown, read_synonyms(REAL / "synonyms.txt"))

    assert (scores.chair_s, scores.chair_i) == (expected["chair_s"], expected["chair_i"])
    found = [(caption.chair_s, caption.chair_i) for caption in scores.per_caption]
    assert found == [(entry["chair_s"], entry["chair_i"]) for entry in captions]


@needs_real_data
def test_the_published_list_has_cocos_eighty_categories():
    assert len(set(read_synonyms(REAL / "synonyms.txt").values())) == 80
