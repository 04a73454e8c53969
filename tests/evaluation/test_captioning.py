"""Captioning benchmarks as one: prompts of the protocols, references, missing photos, a run from end to end."""

from pathlib import Path

import pytest
from PIL import Image

from mblip.data.skipped import SkipReport
from mblip.evaluation import Setup, evaluate_task
from mblip.evaluation.captioning import ask_for_caption, caption_prompts, captioning_task
from mblip.evaluation.task import Origin
from tests.evaluation.table_model import knows_all
from tests.tiny import tiny_model, tiny_processor

ORIGIN = Origin("https://example.org/photos", "CC BY 4.0")
CAPTIONS = {
    "en": ("A dog runs on grass.", "A dog."),
    "fa": ("سگی روی چمن می‌دود",),
    "quz": ("Huk alqu pampapi",),
}


def asked(setup, image="a.jpg", languages=tuple(CAPTIONS), key="a", captions=CAPTIONS):
    """The examples about a photo."""
    return [
        example
        for code in languages
        for example in ask_for_caption(
            caption_prompts(setup),
            image,
            captions[code],
            image_id=f"x/{key}",
            language=code,
            id=f"{code}/{key}",
            benchmark="photos",
            skipped=SkipReport(),
        )
    ]


def make(examples, setup=Setup(), skipped=None):  # noqa: B008
    skipped = SkipReport() if skipped is None else skipped
    return captioning_task("photos", examples, setup=setup, tokenization="ptb", origin=ORIGIN, skipped=skipped)


@pytest.mark.parametrize(
    ("setup", "prompts"),
    [
        (Setup(), ["Caption in English: ", "Caption in Farsi: ", "Caption in Quechua: "]),
        (Setup(language_names="trained"), ["Caption in English: ", "Caption in Persian: ", "Caption in Quechua: "]),
        (
            Setup(protocol="centurio"),
            [
                "Briefly describe the image in English in one sentence.",
                "Briefly describe the image in Persian in one sentence.",
                "Briefly describe the image in Quechua in one sentence.",
            ],
        ),
    ],
)
def test_each_protocol_has_its_prompt(setup, prompts):
    examples = asked(setup)
    assert [example.prompt for example in examples] == prompts
    assert {example.condition for example in examples} == {"as_is"}
    assert [example.language for example in examples] == ["en", "fa", "quz"]


def test_each_template_is_a_condition_about_the_same_photo():
    examples = asked(Setup(templates=True), languages=("en",))
    assert examples[0].condition == "wording 1"
    assert examples[-1].prompt == "Please give the picture a title in English."
    assert {(example.image_id, example.id, example.references) for example in examples} == {
        ("x/a", "en/a", CAPTIONS["en"])
    }


def test_references_are_stripped_and_empty_ones_are_counted():
    skipped = SkipReport()
    texts = ["  Ein Bad. ", "", "Mu\u0308de Katze"]
    fields = {"language": "de", "benchmark": "photos", "skipped": skipped}
    prompts = caption_prompts(Setup())
    (example,) = ask_for_caption(prompts, "a.jpg", texts, image_id="x/a", id="de/a", **fields)
    assert example.references == ("Ein Bad.", "Mu\u0308de Katze")
    assert list(ask_for_caption(prompts, "b.jpg", [" "], image_id="x/b", id="de/b", **fields)) == []
    assert skipped.names == {
        "empty text": ["photos/de/a/1", "photos/de/b/0"],
        "photo without a caption in the language": ["photos/de/b"],
    }


def test_the_decoding_is_that_of_the_protocol():
    photo = Image.new("RGB", (2, 2))
    assert str(make(asked(Setup(), photo)).generation) == "5 beams, 1 to 50 new tokens, length penalty 1"
    centurio = Setup(protocol="centurio")
    task = make(asked(centurio, photo), centurio)
    assert (str(task.generation), task.protocol) == (
        "greedy search, 1 to 128 new tokens, repetition penalty 1.1",
        "centurio",
    )


def test_missing_photos_are_an_error_or_skipped_by_name(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "a.jpg")
    photos = asked(Setup(), tmp_path / "a.jpg") + asked(Setup(), tmp_path / "b.jpg", ("en",), key="b")
    message = (
        r"^photos: 1 of 2 images are missing, such as b\.jpg \(not found: .*b\.jpg\)\. Put them there.*"
        r", or skip 1 of 4 examples: `--missing_images skip`, in a recipe `setup: \{missing_im"
    )
    with pytest.raises(ValueError, match=message):
        make(photos)
    skipped = SkipReport()
    task = make(photos, Setup(missing_images="skip"), skipped)
    assert [example.id for example in task.examples] == ["en/a", "fa/a", "quz/a"]
    assert skipped.names == {"image missing": ["photos/en/b"]}


def test_a_model_that_knows_the_captions_scores_as_they_do():
    images = [Image.new("RGB", (2, 2), (number, 0, 0)) for number in (0, 100, 200)]
    photos = []
    for n, image in enumerate(images):
        captions = {code: (f"{texts[0]} {'abc'[n]}",) for code, texts in CAPTIONS.items()}
        photos += asked(Setup(), image, key=str(n), captions=captions)
    task = make(photos)
    model, processor = knows_all(task.examples)
    results = evaluate_task(model, processor, task)
    assert sum(model.num_encoded) == 3  # however many languages ask
    assert results.metric == "CIDEr-D"
    for score in results.by_language("as_is").values():
        assert score.figures["BLEU-4"] == pytest.approx(1.0)
        assert score.value == score.figures["CIDEr-D"] > 1
    assert results.by_language("as_is")["fa"].figures["language_fidelity"] == 1.0


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_both_kinds_of_model_caption_from_end_to_end(tmp_path, family):
    for key, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (28, 28), colour).save(tmp_path / f"{key}.png")
    setup = Setup(protocol="centurio")
    photos = [one for key in "ab" for one in asked(setup, tmp_path / f"{key}.png", ("en", "quz"), key=key)]
    task = make(photos, setup)
    path = Path(tmp_path, "predictions.jsonl")
    results = evaluate_task(tiny_model(family), tiny_processor(family), task, predictions_path=path)
    assert {code: score.num_prompts for code, score in results.by_language("as_is").items()} == {"en": 2, "quz": 2}
    assert len(path.read_text().splitlines()) == 4
