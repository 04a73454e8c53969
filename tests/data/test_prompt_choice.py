"""Training on the prompts of some tasks, languages and sources: nothing else of a row comes."""

import json

import pytest
from datasets import Dataset, concatenate_datasets

from mblip.data.example import FEATURES_WITH_PROVENANCE, rows_to_dataset
from mblip.data.training_rows import PromptChoice, TrainingRows, TrainingStream

VQA, SWAHILI = PromptChoice(tasks=frozenset({"vqa"})), PromptChoice(languages=frozenset({"sw"}))
BOTH = PromptChoice(frozenset({"vqa"}), frozenset({"sw"}))


def row(number, *prompts):
    """A row with a prompt for each (task, language)."""
    return {
        "images": [],
        "image_id": str(number),
        "prompts": [f"{task} in {language}" for task, language in prompts],
        "targets": [f"target {position}" for position in range(len(prompts))],
        "languages": [language for _, language in prompts],
        "tasks": [task for task, _ in prompts],
        "sources": ["web" if number == 1 else "coco"] * len(prompts),
        "ids": [f"{number}-{position}" for position in range(len(prompts))],
        "provenance": [json.dumps({"place": position}) for position in range(len(prompts))],
    }


ROWS = [
    row(0, ("vqa", "sw"), ("captioning", "en"), ("vqa", "en")),
    row(1, ("captioning", "en")),
    row(2, *[("vqa", "sw")] * 5, ("captioning", "sw")),
]


def ids(rows):
    return [(entry["ids"], entry.get("turn")) for entry in rows]


@pytest.fixture(params=["rows", "stream"])
def train_on(request):
    """Rows or a stream of `ROWS`."""
    dataset = rows_to_dataset(ROWS)
    if request.param == "rows":
        return lambda **choice: TrainingRows(dataset, **choice)
    return lambda **choice: TrainingStream(dataset.to_iterable_dataset(), **choice)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (VQA, [["0-0", "0-2"], ["2-0", "2-1", "2-2", "2-3", "2-4"]]),
        (SWAHILI, [["0-0"], ["2-0", "2-1", "2-2", "2-3", "2-4", "2-5"]]),
        (BOTH, [["0-0"], ["2-0", "2-1", "2-2", "2-3", "2-4"]]),
        (PromptChoice(frozenset({"captioning"}), sources=frozenset({"web"})), [["1-0"]]),
        (PromptChoice(), [["0-0", "0-1", "0-2"], ["1-0"], [f"2-{position}" for position in range(6)]]),
    ],
)
def test_the_chosen_prompts_come_and_rows_without_any_do_not(train_on, choice, expected):
    assert ids(train_on(choice=choice)) == [(names, None) for names in expected]


def test_all_that_belongs_to_a_prompt_comes_with_it(train_on):
    found = next(iter(train_on(choice=PromptChoice(frozenset({"captioning"})))))
    assert found == {
        "images": [],
        "image_id": "0",
        "prompts": ["captioning in en"],
        "targets": ["target 1"],
        "languages": ["en"],
        "tasks": ["captioning"],
        "sources": ["coco"],
        "ids": ["0-1"],
        "provenance": ['{"place": 1}'],
        "epoch": 0,
    }


def test_a_row_has_as_many_turns_as_its_chosen_prompts_need(train_on):
    names = ["2-0", "2-1", "2-2", "2-3", "2-4"]
    found = sorted(ids(train_on(choice=BOTH, prompts_per_image=2)), key=str)
    assert found == [(["0-0"], 0), (names, 0), (names, 1), (names, 2)]


def test_images_and_prompts_are_counted_once_however_many_turns_they_have():
    rows = TrainingRows(rows_to_dataset(ROWS), prompts_per_image=2, choice=VQA)
    assert len(rows) == 4
    assert rows.count_images() == 2
    assert rows.count_prompts() == {"sw": 6, "en": 1}
    everything = TrainingRows(rows_to_dataset(ROWS))
    assert (everything.count_images(), everything.count_prompts()) == (3, {"sw": 7, "en": 3})


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"tasks": frozenset({"poetry"})}, "Found the task 'poetry', expected one of captioning"),
        ({"languages": frozenset({"xx"})}, "Found the language 'xx', expected one of the 96 codes"),
        ({"tasks": frozenset()}, "`tasks` is empty, expected at least one"),
        ({"sources": frozenset()}, "`sources` is empty, expected at least one"),
    ],
)
def test_what_cannot_be_chosen_is_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        PromptChoice(**arguments)


def test_rows_without_any_such_prompt_are_an_error():
    choice = PromptChoice(frozenset({"matching"}), frozenset({"de"}))
    with pytest.raises(ValueError, match="Found no prompt of the tasks matching in the languages de in 3 rows"):
        TrainingRows(rows_to_dataset(ROWS), choice=choice)


BAD = [
    ({"targets": ["target", "<image> dog", "target"]}, "Row '0' .*`<image>` in its target: '<image> dog'"),
    ({"targets": ["target", "target", " \u3000"]}, "Row '0' .*empty target"),
    ({"targets": ["target", None, "target"]}, "Row '0' .*empty target"),
    ({"targets": ["target"]}, "Row '0' .*lists of lengths .*'targets': 1"),
    ({"prompts": []}, "Row '0' .*lists of lengths .*'prompts': 0"),
    ({"prompts": None}, "Row '0' .*null in `prompts`, expected a list of texts"),
    ({"prompts": ["a", None, "c"]}, "Row '0' .*null in `prompts`"),
    ({"languages": ["de", None, "en"]}, "Row '0' .*null in `languages`"),
    ({"ids": None}, "Row '0' .*null in `ids`"),
    ({"sources": [None, "a", "a"]}, r"Row '0' \(source None, a\) has null in `sources`"),
    ({"images": None}, "Row '0' .*null in `images`, expected a list of images"),
    ({"images": [None]}, "Row '0' .*null in `images`"),
    ({"image_id": None}, "Row None .*null in `image_id`, expected text"),
    ({"provenance": ["{}"]}, "Row '0' .*lists of lengths .*'provenance': 1"),
    ({"provenance": ["{}", None, "{}"]}, "Row '0' .*null in `provenance`"),
]


def made_by_another(changes, *others):
    """A dataset that nobody has looked through: the first row is bad."""
    return Dataset.from_list([ROWS[0] | changes, *others], features=FEATURES_WITH_PROVENANCE)


@pytest.mark.parametrize(("changes", "match"), BAD)
def test_a_row_that_no_model_should_learn_is_named_before_training(changes, match):
    bad = made_by_another(changes, *ROWS[1:])
    with pytest.raises(ValueError, match=match):
        TrainingRows(bad)
    with pytest.raises(ValueError, match=match):
        TrainingRows(bad.select([2, 0]))
    with pytest.raises(ValueError, match=match):
        list(TrainingStream(bad.to_iterable_dataset()))
    with pytest.raises(ValueError, match=match):
        list(rows_to_dataset([ROWS[0] | changes]))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"images": None}, "Row '0' .*null in `images`"),
        ({"images": "dog.png"}, "Row '0' .*'dog.png' of type str in `images`"),
        ({"image_id": 5}, "Row 5 .*'5' of type int in `image_id`"),
        ({"ids": [1, 2, 3]}, "Row '0' .*'1' of type int in `ids`"),
        ({"provenance": 5}, "Row '0' .*'5' of type int in `provenance`"),
    ],
)
def test_a_column_of_another_type_is_told_before_training(changes, match):
    rows = [ROWS[0] | changes]
    for train_on in (lambda: TrainingRows(Dataset.from_list(rows)), lambda: list(TrainingStream(rows))):
        with pytest.raises(ValueError, match=match):
            train_on()


@pytest.mark.parametrize("column", ["image_id", "ids", "prompts", "languages"])
def test_half_a_character_is_told_before_rows_are_written(column):
    half = "a\ud800"
    with pytest.raises(ValueError, match=r"^Row .* holds half a character \(a lone surrogate\): 'a\\ud800'"):
        rows_to_dataset([ROWS[0] | {column: half if column == "image_id" else [half, "a", "a"]}])


@pytest.mark.parametrize("row", ["a", None, ("a", 1)])
def test_what_is_no_row_is_refused_by_a_stream(row):
    with pytest.raises(ValueError, match=f"A row is of type {type(row).__name__}, expected columns with their values"):
        list(TrainingStream([row]))


def test_a_bad_row_in_a_later_part_of_the_table_is_found():
    bad = concatenate_datasets(
        [rows_to_dataset(ROWS), made_by_another({"targets": ["a", "", "b"], "image_id": "late"})]
    )
    with pytest.raises(ValueError, match=r"Row 'late' .*empty target"):
        TrainingRows(bad)


def test_bad_rows_and_prompts_that_are_not_chosen_harm_nobody():
    bad = made_by_another({"targets": ["target", "", "target"]}, *ROWS[1:])
    assert len(TrainingRows(bad.select([1, 2]))) == 2
    assert len(TrainingRows(bad.filter(lambda row: row["image_id"] != "0"))) == 2
    assert ids(TrainingRows(bad, choice=BOTH)) == ids(TrainingStream(bad.to_iterable_dataset(), choice=BOTH))
    with pytest.raises(ValueError, match=r"Row '0' .*empty target"):
        TrainingRows(bad, choice=PromptChoice(languages=frozenset({"en"})))
