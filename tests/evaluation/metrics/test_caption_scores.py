"""The scores of captions: published records with their expected scores, and what every set must hold to."""

import json
import os
import random
from pathlib import Path

import numpy as np
import pytest

from mblip.evaluation.metrics.caption_scores import score_captions

REAL = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
FOLDER = REAL / "caption_scores"
needs_real_data = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="no captions with expected scores: set MBLIP_DATA to a folder with caption_scores/"
)
THEIR_NAMES = {
    "CIDEr-D": "CIDEr",
    "BLEU-1": "Bleu_1",
    "BLEU-2": "Bleu_2",
    "BLEU-3": "Bleu_3",
    "BLEU-4": "Bleu_4",
    "ROUGE-L": "ROUGE_L",
}
LIBRARIES = {"ja": ("sudachipy", "sudachidict_core"), "th": ("pythainlp",)}
HYPOTHESES = ["A dog runs on the beach.", "Two cats", "", "A man, and a woman!", "a red bus"]
REFERENCES = [
    ["A dog running on a beach", "The dog runs along the sea."],
    ["Two cats sleep on a sofa", "cats", "Two sleeping cats."],
    ["A bird."],
    ["A man and a woman"],
    ["A bus that is red", "red bus"],
]


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def read_captions(annotations, results):
    """Image ids, hypotheses and references of files in COCO's layout."""
    references = {}
    for row in read(annotations)["annotations"]:
        references.setdefault(row["image_id"], []).append(row["caption"])
    rows = read(results)
    return (
        [row["image_id"] for row in rows],
        [row["caption"] for row in rows],
        [references[row["image_id"]] for row in rows],
    )


def assert_expected(scores, ids, overall, per_image):
    """`per_image` may have some of the scores only."""
    assert len(ids) > 0
    for name, theirs in THEIR_NAMES.items():
        assert scores.overall[name] == pytest.approx(overall[theirs], rel=0, abs=1e-12)
        expected = {image: values[theirs] for image, values in per_image.items() if theirs in values}
        found = dict(zip(map(str, ids), scores.per_image[name], strict=True))
        if expected:
            assert found == pytest.approx(expected, rel=0, abs=1e-12)


@needs_real_data
def test_the_published_example_has_its_scores():
    folder = FOLDER / "fakecap"
    ids, *captions = read_captions(folder / "captions_val2014.json", folder / "captions_val2014_fakecap_results.json")
    expected = read(folder / "expected_scores.json")
    assert_expected(score_captions(*captions), ids, expected["overall"], expected["per_image"])


@needs_real_data
@pytest.mark.parametrize("model", ["instructblip", "minigpt-4", "mmgpt", "mplug"])
def test_captions_of_models_have_their_scores(model):
    folder = FOLDER / "pope_captions"
    ids, *captions = read_captions(folder / "captions_val2014.json", folder / f"Instruction2_{model}_results.json")
    expected = read(folder / "expected_scores.json")["models"][f"Instruction2_{model}"]
    assert_expected(score_captions(*captions), ids, expected["overall"], expected["per_image"])


@needs_real_data
def test_captions_of_every_language_have_their_scores():
    folder = FOLDER / "xm3600"
    languages = read(folder / "expected_scores.json")["languages"]
    assert len(languages) == 32
    for language, expected in languages.items():
        ids, *captions = read_captions(folder / f"xm3600_coco_{language}.json", folder / f"results_{language}.json")
        scores = score_captions(*captions, language=language, tokenization="segmented")
        per_image = {image: {"CIDEr": value} for image, value in expected["CIDEr_per_image"].items()}
        assert_expected(scores, ids, expected["overall"], per_image)


@needs_real_data
@pytest.mark.slow
@pytest.mark.parametrize("language", ["zh", "ja", "th"])
def test_captions_as_published_have_the_scores_of_captions_segmented_by_the_original(language):
    for library in LIBRARIES.get(language, ()):
        pytest.importorskip(library, reason=f"{library} is not installed: `pip install mblip[{language}]`")
    expected = read(FOLDER / "xm3600" / "expected_scores.json")["languages"][language]
    ids = list(expected["CIDEr_per_image"])
    lines = (REAL / "xm3600" / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = {row["image/key"]: row[language]["caption"] for row in map(json.loads, lines) if language in row}
    scores = score_captions([rows[i][-1] for i in ids], [rows[i][:-1] for i in ids], language=language)
    per_image = {image: {"CIDEr": value} for image, value in expected["CIDEr_per_image"].items()}
    assert_expected(scores, ids, expected["overall"], per_image)


def test_every_score_has_a_value_for_the_set_and_for_each_image():
    scores = score_captions(HYPOTHESES, REFERENCES)
    assert list(scores.overall) == list(scores.per_image) == list(THEIR_NAMES)
    assert {len(values) for values in scores.per_image.values()} == {5}
    assert scores.per_image["ROUGE-L"][3] == 1.0
    assert {name: values[2] for name, values in scores.per_image.items()} == dict.fromkeys(THEIR_NAMES, 0.0)
    assert (scores.language, scores.tokenization[:16]) == ("en", "words as written")


def test_shuffled_images_and_references_change_no_bit():
    draw = random.Random(0)
    words = ["a", "dog", "cat", "runs", "on", "the", "beach", "sofa", "two", "red", "bus", "man", "woman"]
    captions = [" ".join(draw.choices(words, k=draw.randint(0, 12))) for _ in range(120)]
    hypotheses, references = captions[:30], [captions[30 + 3 * i : 33 + 3 * i] for i in range(30)]
    scores = score_captions(hypotheses, references)
    for _ in range(5):
        order = draw.sample(range(30), k=30)
        shuffled = score_captions([hypotheses[i] for i in order], [draw.sample(references[i], k=3) for i in order])
        assert shuffled.overall == scores.overall
        for name, values in scores.per_image.items():
            assert shuffled.per_image[name] == tuple(values[i] for i in order)


def test_other_images_move_cider_and_nothing_else():
    few, all_of_them = score_captions(HYPOTHESES[:4], REFERENCES[:4]), score_captions(HYPOTHESES, REFERENCES)
    moved = {name for name, values in few.per_image.items() if values != all_of_them.per_image[name][:4]}
    assert moved == {"CIDEr-D"}


def test_columns_of_arrays_are_scored_as_lists():
    columns = np.array(HYPOTHESES), [np.array(group) for group in REFERENCES]
    assert score_captions(*columns) == score_captions(HYPOTHESES, REFERENCES)
