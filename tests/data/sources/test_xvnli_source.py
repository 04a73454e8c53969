"""SNLI-VE and XVNLI: what is read, what is skipped, and what is refused."""

from collections import Counter
from pathlib import Path

import pytest

from mblip.data.example import Example
from mblip.data.prompts import apply_prompt, get_task
from mblip.data.skipped import SkipReport
from mblip.data.sources.xvnli import XVNLI_LANGUAGES, read_xvnli, snli_ve
from tests.data.sources.sample_data import SAMPLES, needs_samples, write_lines

PAIR = {
    "gold_label": "neutral",
    "sentence1": "Мужчина читает.",
    "sentence2": "Эта женщина – супермодель. ",
    "captionID": "7598.jpg#2",
    "pairID": "7598.jpg#2r1c",
}


def test_a_pair_of_xvnli_becomes_an_example_without_its_premise(tmp_path):
    path = write_lines(tmp_path / "test.jsonl", [PAIR | {"Flikr30kID": "7598"}])
    assert list(read_xvnli(path, language="ru", images=tmp_path)) == [
        Example(
            images=(tmp_path / "7598.jpg",),
            prompt="",
            target="maybe",
            language="ru",
            task="entailment",
            source="xvnli",
            id="ru/7598.jpg#2r1c",
            image_id="flickr30k/7598",
            inputs={"hypothesis": "Эта женщина – супермодель. "},
        )
    ]


def test_space_around_a_hypothesis_is_not_trained_on(tmp_path):
    path = write_lines(tmp_path / "test.jsonl", [PAIR | {"Flikr30kID": "7598"}])
    (example,) = read_xvnli(path, language="ru", images=tmp_path)
    assert apply_prompt(example, held_out=True, seed=0).prompt == get_task("entailment").held_out.text.format(
        language="Russian", hypothesis="Эта женщина – супермодель."
    )


def test_a_pair_of_snli_ve_spells_the_photo_otherwise_and_is_english(tmp_path):
    path = write_lines(tmp_path / "snli_ve_train.jsonl", [PAIR | {"Flickr30K_ID": "7598"}])
    (example,) = snli_ve(0, path=path, images=tmp_path)
    assert (example.source, example.language, example.image_id) == ("snli_ve", "en", "flickr30k/7598")


def test_the_three_labels_are_answers_and_no_majority_is_skipped_by_name(tmp_path):
    labels = ["entailment", "neutral", "contradiction", "-"]
    pairs = [PAIR | {"gold_label": label, "pairID": label, "Flikr30kID": "1"} for label in labels]
    path = write_lines(tmp_path / "test.jsonl", [*pairs, pairs[0] | {"pairID": "e", "sentence2": ""}])
    skipped = SkipReport()
    examples = read_xvnli(path, language="fr", images=tmp_path, skipped=skipped)
    assert {example.id: example.target for example in examples} == {
        "fr/entailment": "yes",
        "fr/neutral": "maybe",
        "fr/contradiction": "no",
    }
    assert skipped.names == {"annotators disagree (label `-`)": ["xvnli/fr/-"], "empty text": ["xvnli/fr/e"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"gold_label": "Neutral"},
            r"test\.jsonl, line 2: `gold_label` is 'Neutral', text, expected one of 'entailment', 'neutral', 'contr",
        ),
        ({"sentence2": 3}, r"test\.jsonl, line 2: `sentence2` is 3, a whole number, expected text"),
        ({"Flikr30kID": None}, r"test\.jsonl, line 2: `Flikr30kID` is missing or null, expected text"),
    ],
)
def test_a_pair_that_is_not_as_published_is_named(tmp_path, changes, message):
    pair = PAIR | {"Flikr30kID": "1"}
    path = write_lines(tmp_path / "test.jsonl", [pair, pair | changes])
    with pytest.raises(ValueError, match=message):
        list(read_xvnli(path, language="ru", images=tmp_path))


def test_a_file_of_the_other_corpus_is_an_error_that_says_what_it_has(tmp_path):
    path = write_lines(tmp_path / "test.jsonl", [PAIR | {"Flikr30kID": "1"}])
    with pytest.raises(ValueError, match=r"`Flickr30K_ID` is missing or null, expected text\. Found .*`Flikr30kID`"):
        list(snli_ve(0, path=path, images=tmp_path))


@needs_samples("xvnli")
@pytest.mark.parametrize("language", XVNLI_LANGUAGES)
def test_every_published_pair_is_read_or_skipped(language):
    skipped = SkipReport()
    folder = SAMPLES / "xvnli/annotations" / language
    answers = {
        path.stem: Counter(
            example.target for example in read_xvnli(path, language=language, images=Path("images"), skipped=skipped)
        )
        for path in sorted(folder.glob("*.jsonl"))
    }
    assert len(answers) == 7
    assert answers["test"] == {"yes": 170, "maybe": 163, "no": 161}
    assert answers["train_48"] == {"yes": 56, "maybe": 53, "no": 54}
    assert skipped.counts == {"annotators disagree (label `-`)": 6 + 0 + 1 + 1 + 3 + 3 + 5}
