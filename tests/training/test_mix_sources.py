"""Sources of the mix in a recipe: captions that are filtered, and captions that are asked about."""

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mblip.data import Example
from mblip.data.recipes.sources import Source
from mblip.data.recipes.yaml_values import read_yaml, write_yaml
from mblip.data.skipped import SkipReport
from mblip.mix.filters.embeddings import EmbeddedBatch, store_embeddings
from mblip.mix.sources import capfilt
from mblip.training.recipe_reading import to_recipe, to_yaml
from tests.training.tiny_run import tiny_recipe

CAPTIONS = ["a dog on the beach", "A dog on the beach.", "a red bus in a street", "", "two cats asleep on a couch"]


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    """CapFilt's layout: five captions, of which two nearly equal and one empty."""
    path = tmp_path / "ccs.json"
    records = [{"url": f"https://example.org/{i}.jpg", "caption": text} for i, text in enumerate(CAPTIONS)]
    path.write_text(json.dumps(records))
    return path


def arguments_of(folder: Path, **source: Any) -> dict[str, Any]:
    """The arguments that a recipe gives for its one source."""
    path = folder / "recipe.yaml"
    path.write_text(write_yaml(tiny_recipe(folder, data={"sources": [source]})), encoding="utf-8")
    recipe = to_recipe(read_yaml(path))
    path.write_text(to_yaml(recipe), encoding="utf-8")
    assert to_recipe(read_yaml(path)) == recipe
    return dict(recipe.data.sources[0].arguments)


def read(name: str, arguments: dict[str, Any]) -> tuple[list[Example], SkipReport]:
    skipped = SkipReport()
    return list(Source(name, arguments).examples(7, skipped)), skipped


def test_captions_that_repeat_an_earlier_one_are_skipped(captions, tmp_path):
    arguments = arguments_of(tmp_path, source="capfilt", path=str(captions), max_similarity=0.8)
    examples, skipped = read("capfilt", arguments)
    assert [example.target for example in examples] == [CAPTIONS[0], CAPTIONS[2], CAPTIONS[4]]
    assert skipped.counts == {
        "empty text": 1,
        "caption nearly repeats an earlier one (similarity 0.8 or more)": 1,
    }


def test_captions_are_chosen_by_their_noun_phrases_and_counted_once(captions, tmp_path, monkeypatch):
    def parser(model: str, *, num_processes: int) -> Any:
        assert (model, num_processes) == ("en_core_web_sm", 1)
        return lambda texts: iter([["bus"] if "bus" in text else ["animal"] for text in texts])

    monkeypatch.setattr(capfilt, "spacy_noun_phrases", parser)
    phrases = {"min_captions": 2, "max_captions": 2}
    arguments = arguments_of(tmp_path, source="capfilt", path=str(captions), noun_phrases=phrases)
    examples, skipped = read("capfilt", arguments)
    assert len(examples) == 2
    assert CAPTIONS[2] not in {example.target for example in examples}
    assert skipped.counts == {
        "empty text": 1,
        "noun phrases in fewer than 2 captions": 1,
        "noun phrases with 2 captions already": 1,
    }


def test_half_of_the_captions_of_another_source_are_asked_about_as_wrong_ones(tmp_path, caplog):
    path = tmp_path / "ccs.json"
    path.write_text(
        json.dumps([{"url": f"https://example.org/{i}.jpg", "caption": f"number {i}"} for i in range(300)] + [
            {"url": "https://example.org/x.jpg", "caption": " "}
        ])
    )  # fmt: skip
    arguments = arguments_of(tmp_path, source="matching", captions={"source": "capfilt", "path": str(path)})
    with caplog.at_level(logging.INFO):
        examples = list(Source("matching", arguments).examples(7))
    assert len(examples) == 300
    answers = Counter(example.target for example in examples)
    assert min(answers.values()) > 120
    own = {example.image_id: example.inputs["caption"] for example in examples if example.target == "yes"}
    wrong = [example for example in examples if example.target == "no"]
    assert all(own.get(example.image_id) != example.inputs["caption"] for example in wrong)
    assert {example.provenance["negative.rank"] for example in wrong} == {"random"}
    assert "| empty text | 1 | " in caplog.text  # once, though the captions are read several times


def test_wrong_captions_are_those_of_images_that_look_alike(tmp_path):
    path = tmp_path / "ccs.json"
    path.write_text(
        json.dumps([{"url": f"https://example.org/{i}.jpg", "caption": f"number {i}"} for i in range(320)])
    )
    captions, _ = read("capfilt", {"path": path})
    write_embeddings(tmp_path, captions)
    embeddings = {"captions": str(tmp_path / "captions"), "images": str(tmp_path / "images")}
    arguments = arguments_of(
        tmp_path, source="matching", captions={"source": "capfilt", "path": str(path)}, embeddings=embeddings
    )
    examples, skipped = read("matching", arguments)
    assert len(examples) + skipped.counts.total() == 320
    ranks = Counter(example.provenance["negative.drawn_rank"] for example in examples if example.target == "no")
    assert set(ranks) == {"3", "10", "30", "100", "300", "random"}


def write_embeddings(folder: Path, captions: list[Example]) -> None:
    """Embeddings of captions and their images, all different directions in a plane."""
    angles = np.linspace(0, 3, len(captions))
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    shared = {"model": ["tiny"] * len(captions), "revision": ["x"] * len(captions)}
    shared["image_id"] = [caption.image_id for caption in captions]
    texts = {"text": [caption.target for caption in captions], "language": ["en"] * len(captions)}
    names = {"source": [caption.source for caption in captions], "id": [caption.id for caption in captions]}
    store_embeddings([EmbeddedBatch(shared, directions)], folder / "images")
    store_embeddings([EmbeddedBatch(shared | texts | names, directions)], folder / "captions")


@pytest.mark.parametrize(
    ("captions", "message"),
    [
        ({"source": "capfilt"}, r"line \d+: `data\.sources\.0\.captions` lacks `path`"),
        (
            {"source": "capfil"},
            r"line \d+: `data\.sources\.0\.captions\.source`: there is no source 'capfil'\. Did you mean `capfilt`\?",
        ),
        ({"source": "capfilt", "path": "p", "weight": 2}, r"key `data\.sources\.0\.captions\.weight` is unknown"),
        ("capfilt", r"`data\.sources\.0\.captions` is 'capfilt', text, expected a mapping with `source`"),
    ],
)
def test_what_is_wrong_in_a_source_within_a_source_is_named_with_its_location(tmp_path, captions, message):
    with pytest.raises(ValueError, match=message):
        arguments_of(tmp_path, source="matching", captions=captions)
