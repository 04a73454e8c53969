"""GQA and xGQA: what is read, what is skipped, and what is refused."""

from collections import Counter
from pathlib import Path

import pytest

from mblip.data.example import Example
from mblip.data.skipped import SkipReport
from mblip.data.sources.gqa import XGQA_LANGUAGES, gqa, read_xgqa
from tests.data.sources.sample_data import SAMPLES, needs_samples, write_json

GQA = {"img_id": "n1", "label": {"beige": 1.0}, "question_id": "20", "sent": "What is the color of this bench? "}
XGQA = {"imageId": "n1", "question": "Ist der Bus schwarz?", "answer": "no", "fullAnswer": "No, it is red."}


def test_a_question_of_gqa_becomes_an_example(tmp_path):
    path = write_json(tmp_path / "train.json", [GQA])
    assert list(gqa(0, path=path, images=tmp_path)) == [
        Example(
            images=(tmp_path / "n1.jpg",),
            prompt="",
            target="beige",
            language="en",
            task="vqa_in_english",
            source="gqa",
            id="20",
            image_id="gqa/n1",
            inputs={"question": "What is the color of this bench?"},
        )
    ]


def test_a_question_of_xgqa_is_in_its_language_and_shares_the_image_of_gqa(tmp_path):
    path = write_json(tmp_path / "train_1.json", {"202158849": XGQA})
    assert list(read_xgqa(path, language="de", images="zip://images::gqa.zip")) == [
        Example(
            images=("zip://images/n1.jpg::gqa.zip",),
            prompt="",
            target="no",
            language="de",
            task="vqa_in_english",
            source="xgqa",
            id="de/202158849",
            image_id="gqa/n1",
            inputs={"question": "Ist der Bus schwarz?"},
        )
    ]


def test_of_several_answers_the_best_is_taken_and_a_question_without_any_is_skipped(tmp_path):
    several = GQA | {"label": {"red": 0.3, "green": 1.0, "blue": 0.9}}
    path = write_json(tmp_path / "train.json", [GQA | {"label": {}}, several, GQA | {"question_id": 21, "sent": " "}])
    skipped = SkipReport()
    (example,) = gqa(0, skipped, path=path, images=tmp_path)
    assert example.target == "green"
    assert skipped.names == {"question without an answer": ["gqa/20"], "empty text": ["gqa/21"]}


def test_an_empty_question_of_xgqa_is_skipped_by_name(tmp_path):
    path = write_json(tmp_path / "train.json", {"1": XGQA | {"question": ""}, "2": XGQA | {"answer": " "}})
    skipped = SkipReport()
    assert list(read_xgqa(path, language="ko", images=tmp_path, skipped=skipped)) == []
    assert skipped.names == {"empty text": ["xgqa/ko/1", "xgqa/ko/2"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "beige"}, r"train\.json, record 1: `label` is 'beige', text, expected an object of numbers"),
        ({"sent": None}, r"train\.json, record 1: `sent` is missing or null, expected text"),
        ({"img_id": 1}, r"train\.json, record 1: `img_id` is 1, a whole number, expected text"),
        ({"img_id": "../n1"}, r"train\.json, record 1: found the image name '\.\./n1\.jpg'"),
    ],
)
def test_a_record_that_is_not_as_published_is_named(tmp_path, changes, message):
    path = write_json(tmp_path / "train.json", [GQA, GQA | changes])
    with pytest.raises(ValueError, match=message):
        list(gqa(0, path=path, images=tmp_path))


def test_a_wrong_record_of_xgqa_is_named_by_its_question(tmp_path):
    path = write_json(tmp_path / "dev.json", {"17": {"imageId": "n1", "question": "?"}})
    with pytest.raises(ValueError, match=r"dev\.json, question '17': `answer` is missing or null, expected text"):
        list(read_xgqa(path, language="de", images=tmp_path))
    with pytest.raises(ValueError, match=r"Found the language 'pt-br', expected one of .*Nearest: .*`pt`"):
        list(read_xgqa(path, language="pt-br", images=tmp_path))


@needs_samples("gqa")
def test_every_published_question_of_gqa_is_read():
    skipped = SkipReport()
    examples = list(gqa(0, skipped, path=SAMPLES / "gqa/annotations/testdev.json", images=Path("images")))
    assert (len(examples), len({example.id for example in examples}), skipped.counts) == (300, 300, Counter())
    assert (examples[0].id, examples[0].target) == ("20489632", "beige")


@needs_samples("xgqa")
@pytest.mark.parametrize("split", ["train_1", "train_5", "dev"])
def test_every_published_question_of_xgqa_is_read_in_every_language(split):
    examples: dict[str, list[Example]] = {}
    for language in XGQA_LANGUAGES:
        path = SAMPLES / "xgqa/few_shot" / language / f"{split}.json"
        examples[language] = list(read_xgqa(path, language=language, images=Path("images")))
    assert {len(of_language) for of_language in examples.values()} == {
        {"train_1": 27, "train_5": 155, "dev": 420}[split]
    }
    english = [(e.image_id, e.target, e.id.partition("/")[2]) for e in examples["en"]]
    for of_language in examples.values():
        assert [(e.image_id, e.target, e.id.partition("/")[2]) for e in of_language] == english
