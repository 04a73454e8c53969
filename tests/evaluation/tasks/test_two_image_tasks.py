"""MaRVL and NLVR2: statements about a left and a right image."""

import unicodedata
from collections import Counter

import datasets
import pytest

from mblip.data.prompts import get_task
from mblip.evaluation import Setup
from mblip.evaluation.protocol import PAPER
from mblip.evaluation.records import DatasetLocation
from mblip.evaluation.tasks.marvl import marvl
from mblip.evaluation.tasks.nlvr2 import nlvr2
from tests.data.sources.sample_data import SAMPLES, needs_samples, write_lines
from tests.evaluation.tasks.small_benchmarks import UNCHECKED, answered_by_a_tiny_model, draw, scores_of, task_of

ASKED = 'Based on the two images, is it correct to say "{}"? Yes or no? Answer in English:'
CONCEPT = "39-Çörek"


def marvl_record(language, id, caption, label):
    names = {"concept": CONCEPT, "left_img": "39-0.jpg", "right_img": "39-4.jpg", "chapter": "..."}
    return names | {"language": language, "caption": caption, "id": id, "label": label}


def nlvr2_record(identifier, sentence, label):
    return {"identifier": identifier, "sentence": sentence, "label": label, "synset": "...", "query": "..."}


MARVL = {
    "tr": [marvl_record("tr", "tr-0", "İki çörek var.", True), marvl_record("tr", "tr-1", "Çörek yok.", False)],
    "sw": [marvl_record("sw", "sw-0", "Kuna mikate miwili.", True)],
}
NLVR2 = {
    "en": [
        nlvr2_record("dev-8-0-1", "There are six bottles.", "True"),
        nlvr2_record("dev-8-0-2", "There are none.", "False"),
    ],
    "sw": [nlvr2_record("dev-8-0-1", "Kuna chupa sita.", "True")],
}


@pytest.fixture
def marvl_recipe(tmp_path):
    for language, records in MARVL.items():
        write_lines(tmp_path / f"marvl-{language}.jsonl", records)
    fields = {"images": str(tmp_path / "images"), "languages": ("tr", "sw")}
    return lambda **other: task_of(marvl, **{"statements": tmp_path / "marvl-{language}.jsonl"} | fields | other)


@pytest.fixture
def nlvr2_recipe(tmp_path):
    fields = {
        "statements": write_lines(tmp_path / "dev.jsonl", NLVR2["en"]),
        "translated": tmp_path / "dev-{language}_gmt.jsonl",
        "images": str(tmp_path / "images"),
        "languages": ("en", "sw"),
    }
    write_lines(tmp_path / "dev-sw_gmt.jsonl", NLVR2["sw"])
    return lambda **other: task_of(nlvr2, **fields | other)


def asked(recipe, setup=UNCHECKED):
    return [(e.id, e.language, e.prompt, e.references, e.image_id) for e in recipe.build(setup).examples]


def test_every_statement_of_marvl_is_asked_of_a_left_and_a_right_image(marvl_recipe, tmp_path):
    setup = UNCHECKED
    images = f"marvl/tr/{CONCEPT}/39-0+marvl/tr/{CONCEPT}/39-4"
    assert asked(marvl_recipe(), setup) == [
        ("zero_shot/tr-0", "tr", ASKED.format("İki çörek var."), ("yes",), images),
        ("zero_shot/tr-1", "tr", ASKED.format("Çörek yok."), ("no",), images),
        ("zero_shot/sw-0", "sw", ASKED.format("Kuna mikate miwili."), ("yes",), images.replace("/tr/", "/sw/")),
    ]
    folder = tmp_path / "images/tr/images" / unicodedata.normalize("NFD", CONCEPT)
    assert marvl_recipe().build(setup).examples[0].images == (folder / "39-0.jpg", folder / "39-4.jpg")
    (left, _) = marvl_recipe(file_names="NFC").build(setup).examples[0].images
    assert left.parent.name == unicodedata.normalize("NFC", CONCEPT)


@pytest.mark.parametrize(
    ("protocol", "prompt", "changes"),
    [
        ("centurio", 'Given the two images <image><image>, is it correct to say "{}"? Answer yes or no.', ()),
        (
            "pangea",
            "Does the content of the image support the given text? Text: {}\nOptions: (a) false (b) true. "
            "Answer with the option directly.",
            ("two images, not both in one",),
        ),
    ],
)
def test_other_protocols_ask_marvl_in_their_prompts(marvl_recipe, protocol, prompt, changes):
    task = marvl_recipe(languages=("sw",)).build(Setup(protocol=protocol, missing_images="unchecked"))
    assert [example.prompt for example in task.examples] == [prompt.format("Kuna mikate miwili.")]
    assert task.changes == changes


def test_the_development_split_of_nlvr2_is_a_change_of_the_papers_protocol(nlvr2_recipe, tmp_path):
    assert nlvr2_recipe().build(UNCHECKED).changes == ("split dev",)
    test = [record | {"identifier": record["identifier"].replace("dev", "test1")} for record in NLVR2["en"]]
    recipe = nlvr2_recipe(statements=write_lines(tmp_path / "test.jsonl", test), languages=("en",))
    assert recipe.build(UNCHECKED).changes == ()


def test_every_statement_of_nlvr2_is_asked_in_english_and_translated(nlvr2_recipe, tmp_path):
    setup = UNCHECKED
    images = "nlvr2/dev-8-0-img0+nlvr2/dev-8-0-img1"
    assert asked(nlvr2_recipe(), setup) == [
        ("en/dev-8-0-1", "en", ASKED.format("There are six bottles."), ("yes",), images),
        ("en/dev-8-0-2", "en", ASKED.format("There are none."), ("no",), images),
        ("sw/dev-8-0-1", "sw", ASKED.format("Kuna chupa sita."), ("yes",), images),
    ]
    pictures = nlvr2_recipe().build(setup).examples[2].images
    assert pictures == (tmp_path / "images/dev-8-0-img0.png", tmp_path / "images/dev-8-0-img1.png")


def test_the_first_template_of_training_is_the_papers_prompt():
    prompts = {"two_image_statement": (get_task("two_image_statement").templates[0].text,)}
    assert PAPER.benchmarks["marvl"].prompts == PAPER.benchmarks["nlvr2"].prompts == prompts


@pytest.mark.parametrize("benchmark", ["marvl_recipe", "nlvr2_recipe"])
def test_answers_may_be_chosen_of_yes_and_no(benchmark, request):
    recipe = request.getfixturevalue(benchmark)
    task = recipe(answering="rank", rank_by="calibrated").build(UNCHECKED)
    assert {(example.candidates, example.content_free) for example in task.examples} == {
        (("yes", "no"), ASKED.format("N/A"))
    }
    scores, answers = scores_of(task, ["yes", "yes", "no"])
    assert ([answer.score for answer in answers], [score.value for score in scores]) == ([1.0, 0.0, 0.0], [0.5, 0.0])


def test_a_pair_of_which_one_image_is_missing_is_an_error_or_is_counted(marvl_recipe):
    turkish, _, swahili = (example.images for example in marvl_recipe().build(UNCHECKED).examples)
    draw([turkish[0], *swahili])
    with pytest.raises(ValueError, match=r"marvl: 1 of 4 images are missing, such as 39-4\.jpg"):
        marvl_recipe().build(Setup())
    task = marvl_recipe().build(Setup(missing_images="skip"))
    assert [example.id for example in task.examples] == ["zero_shot/sw-0"]
    assert task.skipped.names == {"image missing": ["marvl/zero_shot/tr-0", "marvl/zero_shot/tr-1"]}


def test_a_statement_in_another_language_than_its_file_is_an_error(marvl_recipe, tmp_path):
    write_lines(tmp_path / "marvl-sw.jsonl", MARVL["tr"])
    with pytest.raises(ValueError, match="marvl: the record zero_shot/tr-0 is in 'tr', but the file is for 'sw'"):
        marvl_recipe().build(UNCHECKED)


def test_translated_statements_are_asked_for_by_name(nlvr2_recipe):
    assert [example.language for example in nlvr2_recipe(languages=("en",), translated=None).build(UNCHECKED).examples]
    with pytest.raises(ValueError, match="Found neither files nor a dataset"):
        nlvr2_recipe(translated=None).build(UNCHECKED)
    with pytest.raises(ValueError, match="Found neither files nor a dataset"):
        nlvr2_recipe(statements=None).build(UNCHECKED)


def test_a_dataset_holds_both_images_the_left_one_first(nlvr2_recipe, tmp_path):
    draw([tmp_path / "left.png", tmp_path / "right.png"])
    images = [(tmp_path / f"{side}.png").read_bytes() for side in ("left", "right")]
    features = datasets.Features(
        dict.fromkeys(NLVR2["en"][0], datasets.Value("string")) | {"images": datasets.List(datasets.Image())}
    )
    for language, records in NLVR2.items():
        rows = [{**record, "images": [{"bytes": one, "path": None} for one in images]} for record in records]
        datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / f"{language}.parquet")
    location = DatasetLocation(str(tmp_path / "{language}.parquet"), split="train")
    stored = nlvr2_recipe(statements=None, translated=None, dataset=location, images=None)
    assert asked(stored, Setup()) == asked(nlvr2_recipe())
    assert {example.images for example in stored.build(Setup()).examples} == {tuple(images)}


def test_a_dataset_of_marvl_gives_the_same(marvl_recipe, tmp_path):
    parts = {language: datasets.Dataset.from_list(records) for language, records in MARVL.items()}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "stored")
    location = DatasetLocation(str(tmp_path / "stored"), split="{language}")
    assert asked(marvl_recipe(statements=None, dataset=location)) == asked(marvl_recipe())


@pytest.mark.parametrize("family", ["mt5", "bloom"])
@pytest.mark.parametrize("benchmark", ["marvl_recipe", "nlvr2_recipe"])
def test_models_of_both_kinds_are_asked_about_two_images(benchmark, family, request):
    recipe = request.getfixturevalue(benchmark)
    draw(image for example in recipe().build(UNCHECKED).examples for image in example.images)
    results = answered_by_a_tiny_model(recipe().build(Setup()), family)
    assert [score.num_prompts for score in results.scores] == [2, 1]
    assert results.num_images == {"marvl_recipe": 2, "nlvr2_recipe": 1}[benchmark]


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_models_of_both_kinds_choose_by_likelihood_of_two_images(marvl_recipe, family):
    draw(image for example in marvl_recipe().build(UNCHECKED).examples for image in example.images)
    results = answered_by_a_tiny_model(marvl_recipe(answering="rank").build(Setup()), family)
    assert {answer.output for answer in results.predictions} <= {"yes", "no"}
    assert [set(answer.log_likelihoods) for answer in results.predictions] == [{"yes", "no"}] * 3


@needs_samples("marvl")
def test_the_published_statements_of_marvl_are_read_in_their_five_languages():
    statements = SAMPLES / "marvl/zero_shot/annotations/marvl-{language}.jsonl"
    task = task_of(marvl, statements=statements, images="images").build(UNCHECKED)
    assert Counter(example.language for example in task.examples) == dict.fromkeys(("id", "sw", "ta", "tr", "zh"), 360)
    scores, _ = scores_of(task, [example.references[0] for example in task.examples])
    assert [score.value for score in scores] == [1.0] * 5


@needs_samples("nlvr2")
def test_the_published_statements_of_nlvr2_are_read_in_english_and_four_languages():
    folder, languages = SAMPLES / "nlvr2/annotations", ("en", "id", "sw", "tr", "zh")
    files = {"statements": folder / "dev.jsonl", "translated": folder / "dev-{language}_gmt.jsonl"}
    task = task_of(nlvr2, **files, images="images", languages=languages).build(UNCHECKED)
    assert Counter(example.language for example in task.examples) == dict.fromkeys(languages, 300)
    by_language = [{e.image_id for e in task.examples if e.language == language} for language in languages]
    assert by_language == [by_language[0]] * 5
