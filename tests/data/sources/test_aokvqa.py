"""A-OKVQA: one example for each reason and task, with the correct choice as the answer."""

import json
import os
from pathlib import Path

import pytest

from mblip.data.prompts import apply_prompt
from mblip.data.skipped import SkipReport
from mblip.data.sources.aokvqa import aokvqa

REAL = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
needs_real_data = pytest.mark.skipif(
    not (REAL / "aokvqa").is_dir(), reason="no A-OKVQA sample: set MBLIP_DATA to a folder with aokvqa/"
)

RECORD = {
    "split": "train",
    "image_id": 139,
    "question_id": "22MexNkB",
    "question": "What is he waiting for?",
    "choices": ["train", "cab"],
    "correct_choice_idx": 1,
    "direct_answers": ["ride", "taxi"],
    "difficult_direct_answer": False,
    "rationales": ["He has bags.", "He stands at a road. "],
}
URL = "https://example.org/train2017"


def write(folder, *records):
    path = folder / "aokvqa_v1p0_train.json"
    path.write_text(json.dumps(records))
    return path


def test_each_reason_is_reasoned_and_explained(tmp_path):
    examples = list(aokvqa(0, path=write(tmp_path, RECORD), images=URL))
    question = {"question": "What is he waiting for?"}
    with_answer = question | {"answer": "cab"}
    assert [(example.id, example.task, dict(example.inputs), example.target) for example in examples] == [
        ("22MexNkB/reasoning/0", "reasoning", question, "cab because He has bags."),
        ("22MexNkB/explaining/0", "explaining", with_answer, "He has bags."),
        ("22MexNkB/reasoning/1", "reasoning", question, "cab because He stands at a road."),
        ("22MexNkB/explaining/1", "explaining", with_answer, "He stands at a road."),
    ]
    assert examples[0].images == ("https://example.org/train2017/000000000139.jpg",)
    assert {(example.image_id, example.language) for example in examples} == {("coco/000000000139", "en")}


def test_an_answer_is_never_its_own_reason_as_one_template_of_the_original_had_it(tmp_path):
    records = [RECORD | {"question_id": f"q{number}"} for number in range(30)]
    examples = list(aokvqa(0, path=write(tmp_path, *records), images=URL, tasks=["reasoning"]))
    ours = {apply_prompt(example, seed=0).target for example in examples}
    released = {apply_prompt(example, seed=0, templates="as_released").target for example in examples}
    assert ours == {"cab because He has bags.", "cab because He stands at a road."}
    assert released == ours | {"cab because cab"}


def test_tasks_are_chosen(tmp_path):
    path = write(tmp_path, RECORD)
    assert [example.task for example in aokvqa(0, path=path, images=URL, tasks=["explaining"])] == ["explaining"] * 2
    with pytest.raises(ValueError, match=r"Found the tasks \['vqa'\], but aokvqa gives reasoning, explaining"):
        list(aokvqa(0, path=path, images=URL, tasks=["vqa"]))


def test_an_empty_reason_is_counted(tmp_path):
    skipped = SkipReport()
    path = write(tmp_path, RECORD | {"rationales": [" ", "He has bags."]})
    examples = list(aokvqa(0, skipped, path=path, images=URL))
    assert [example.id for example in examples] == ["22MexNkB/reasoning/1", "22MexNkB/explaining/1"]
    assert skipped.names == {"empty text": ["aokvqa/22MexNkB/reasoning/0", "aokvqa/22MexNkB/explaining/0"]}


@pytest.mark.parametrize("index", [-1, 2])
def test_an_answer_that_is_no_choice_names_the_record(tmp_path, index):
    path = write(tmp_path, RECORD, RECORD | {"correct_choice_idx": index})
    with pytest.raises(ValueError, match=rf"record 1: `correct_choice_idx` is {index}, expected a position from 0"):
        list(aokvqa(0, path=path, images=URL))


def test_the_test_split_has_nothing_to_learn(tmp_path):
    record = {key: value for key, value in RECORD.items() if key not in ("correct_choice_idx", "rationales")}
    with pytest.raises(ValueError, match="record 0: `correct_choice_idx`, `rationales` is missing or null"):
        list(aokvqa(0, path=write(tmp_path, record), images=URL))


@needs_real_data
def test_the_published_record_has_three_reasons():
    examples = list(aokvqa(0, path=REAL / "aokvqa" / "aokvqa_v1p0_train.json", images=URL))
    assert len(examples) == 6
    assert examples[4].target == "cab because He looks to be waiting for a paid ride to pick him up."
    assert examples[4].image_id == "coco/000000299207"
