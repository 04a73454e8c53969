"""VQAv2: a question keeps its own answer, the two files belong together, and what may be translated."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from mblip.data.prompts import apply_prompt
from mblip.data.skipped import SkipReport
from mblip.data.sources.vqav2 import vqav2
from mblip.data.sources.vqav2_files import read_answers
from mblip.mix.translation.answers import choose_translatable_answers

REAL = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
needs_real_data = pytest.mark.skipif(
    not (REAL / "vqav2").is_dir(), reason="no VQAv2 sample: set MBLIP_DATA to a folder with vqav2/ and coco/"
)

ASKED = [
    (139000, 139, "What room is it? ", "living room"),
    (139001, 139, "Is it tidy?", "yes"),
    (71000, 71, "What is on the rails?", "train"),
]
URL = "https://example.org/train2014"


def questions_of(asked):
    return [{"image_id": image, "question": question, "question_id": id} for id, image, question, _ in asked]


def annotations_of(asked):
    return [
        {
            "question_id": id,
            "image_id": image,
            "multiple_choice_answer": answer,
            "question_type": "what",
            "answers": [],
        }
        for id, image, _, answer in asked
    ]


def write(folder, questions, annotations):
    paths = folder / "questions.json", folder / "annotations.json"
    paths[0].write_text(json.dumps({"info": {"year": 2014}, "questions": questions}))
    paths[1].write_text(json.dumps({"annotations": annotations, "license": {}}))
    return dict(zip(("questions", "annotations"), paths, strict=True))


@pytest.fixture
def files(tmp_path):
    """The annotations stand in another order than the questions."""
    return write(tmp_path, questions_of(ASKED), annotations_of(ASKED[::-1]))


def test_a_question_keeps_its_own_answer_in_both_tasks(files):
    examples = list(vqav2(0, **files, images=URL))
    assert [(example.id, example.image_id, dict(example.inputs), example.target) for example in examples] == [
        ("139000/vqa", "coco/000000000139", {"question": "What room is it?"}, "living room"),
        ("139000/question_generation", "coco/000000000139", {"answer": "living room"}, "What room is it?"),
        ("139001/vqa", "coco/000000000139", {"question": "Is it tidy?"}, "yes"),
        ("139001/question_generation", "coco/000000000139", {"answer": "yes"}, "Is it tidy?"),
        ("71000/vqa", "coco/000000000071", {"question": "What is on the rails?"}, "train"),
        ("71000/question_generation", "coco/000000000071", {"answer": "train"}, "What is on the rails?"),
    ]
    assert examples[0].images == ("https://example.org/train2014/COCO_train2014_000000000139.jpg",)
    assert {(example.language, example.source, example.prompt) for example in examples} == {("en", "vqav2", "")}
    assert all(apply_prompt(example, seed=0).prompt for example in examples)


def test_tasks_are_chosen(files):
    examples = vqav2(0, **files, images=URL, tasks=["question_generation"])
    assert Counter(example.task for example in examples) == {"question_generation": 3}
    with pytest.raises(ValueError, match=r"Found the tasks \['caption'\], but vqav2 gives vqa, question_generation"):
        list(vqav2(0, **files, images=URL, tasks=["caption"]))


def many(tmp_path, number):
    return write(
        tmp_path,
        *(make([(index, 1, f"question {index}", f"answer {index}") for index in range(number)])
          for make in (questions_of, annotations_of)),
    )  # fmt: skip


def own_answers(examples):
    """How many questions are generated from their own answer."""
    pairs = [(example.inputs["answer"], example.target) for example in examples]
    return sum(answer.split()[1] == question.split()[1] for answer, question in pairs)


def test_no_question_is_generated_from_the_answer_of_another_as_the_original_did(tmp_path):
    options = {"images": URL, "tasks": ["question_generation"]}
    files = many(tmp_path, 50)
    assert own_answers(vqav2(0, **files, **options)) == 50
    released = list(vqav2(0, **files, **options, as_released=True))
    assert own_answers(released) == 0
    answers = Counter(example.inputs["answer"] for example in released)
    assert len(answers) > 25  # of all over the file
    assert released == list(vqav2(0, **files, **options, as_released=True))
    assert released != list(vqav2(1, **files, **options, as_released=True))


def test_answering_is_the_same_as_released(files):
    options = {"images": URL, "tasks": ["vqa"]}
    assert list(vqav2(0, **files, **options, as_released=True)) == list(vqav2(0, **files, **options))


def test_one_question_has_no_other_answer(tmp_path):
    files = write(tmp_path, questions_of(ASKED[:1]), annotations_of(ASKED[:1]))
    with pytest.raises(ValueError, match=r"questions\[0\]: found 1 question, but `as_released` needs"):
        list(vqav2(0, **files, images=URL, as_released=True))


def test_an_empty_answer_is_counted_in_both_tasks(tmp_path):
    skipped = SkipReport()
    files = write(tmp_path, questions_of(ASKED[:1]), annotations_of([(139000, 139, "", " ")]))
    assert list(vqav2(0, skipped, **files, images=URL)) == []
    assert skipped.names == {"empty text": ["vqav2/139000/vqa", "vqav2/139000/question_generation"]}


@pytest.mark.parametrize(
    ("questions", "annotations", "message"),
    [
        (ASKED, ASKED[:2], r"questions\.json, questions\[2\]: the question id 71000 has no annotation"),
        ([*ASKED, ASKED[0]], ASKED, r"questions\[3\]: the question id 139000 is repeated"),
        (ASKED[1:], ASKED, r"questions\.json lacks 1 question\(s\) that have annotations, such as 139000"),
        (ASKED, [*ASKED, ASKED[0]], r"annotations\.json, annotations\[3\]: the question id 139000 is repeated"),
        (ASKED, [(139000, 140, "", "x"), *ASKED[1:]],
         r"questions\[0\]: the question id 139000 is about the image id 139, but its annotation is about 140"),
        ([("139000", 139, "x", "x")], ASKED, r"questions\[0\]: `question_id` is '139000', text, expected a whole"),
        (ASKED, [(139000, 139, "x", None)], r"annotations\[0\]: `multiple_choice_answer` is missing or null"),
    ],
)  # fmt: skip
def test_files_that_do_not_belong_together_name_the_record(tmp_path, questions, annotations, message):
    files = write(tmp_path, questions_of(questions), annotations_of(annotations))
    with pytest.raises(ValueError, match=message):
        list(vqav2(0, **files, images=URL))


def test_a_file_of_another_layout_is_an_error(tmp_path, files):
    with pytest.raises(ValueError, match=r"questions\.json: there is no key 'annotations', found 'info', 'questions'"):
        list(vqav2(0, questions=files["questions"], annotations=files["questions"], images=URL))


@needs_real_data
@pytest.mark.parametrize(("split", "number", "num_with_photo"), [("train", 700, 22), ("valid", 250, 2)])
def test_published_questions_have_their_answers(split, number, num_with_photo):
    files = {kind: REAL / "vqav2" / f"vqa_{kind}_{split}.json" for kind in ("questions", "annotations")}
    skipped = SkipReport()
    options = {"images": REAL / "coco" / "images", "missing": "count", "skipped": skipped}
    examples = list(vqav2(0, **files, **options))
    assert (len(examples), sum(skipped.counts.values())) == (2 * num_with_photo, 2 * (number - num_with_photo))
    published = {
        record["question_id"]: record["multiple_choice_answer"]
        for record in json.loads(files["annotations"].read_text())["annotations"]
    }
    for example in examples:
        id, task = example.id.split("/")
        assert published[int(id)] == (example.target if task == "vqa" else example.inputs["answer"])
    if split == "train":
        texts = [answer.text for answer in read_answers(files["annotations"]).values()]
        assert choose_translatable_answers(texts) == {"yes", "no"}
