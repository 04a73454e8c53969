"""Predictions of other systems find their examples, by whatever their files name; or the error says which do not."""

import hashlib
import json
import sys
import zipfile
from types import SimpleNamespace

import pytest

from mblip.evaluation import EvaluationExample, EvaluationTask, ExactMatch, GenerationSettings
from mblip.evaluation.other_systems import match_answers, predictions_files
from mblip.evaluation.task import FileRead
from tests.data.sources.sample_data import write_json


def example(id, *, image="coco/000000000042", language="en", condition="as_is", question="Who?", right="yes"):
    return EvaluationExample((), image, f"Question: {question}", (right,), language, condition, id)


def task_of(*examples):
    return EvaluationTask("quiz", examples, ExactMatch(), GenerationSettings(8), "paper")


PHOTOS = task_of(example("42"), example("7", image="coco/000000000007"))
QUESTIONS = task_of(
    *(
        example(f"{language}/{id}", language=language, question=f"{id}? ({language})", right=right)
        for language in ("de", "iw")
        for id, right in (("201", "yes"), ("202", "no"))
    )
)
SPLITS = task_of(*(example(id, condition=split) for split in ("random", "popular") for id in ("1", "2")))


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def answers(task, *names, **options):
    """Example -> its answer."""
    matched, outputs = match_answers(task, predictions_files(list(map(str, names)), task), **options)
    return {f"{e.condition} {e.id}": output for e, output in zip(matched.examples, outputs, strict=True)}


@pytest.mark.parametrize("image", [7, "7", "000000000007", "COCO_val2014_000000000007", "val2014/000000000007.jpg"])
def test_a_photo_of_coco_goes_by_any_of_its_names(tmp_path, image):
    path = write_json(tmp_path / "r.json", [{"image_id": image, "caption": "b"}, {"image_id": 42, "caption": "a"}])
    assert answers(PHOTOS, path) == {"as_is 42": "a", "as_is 7": "b"}


@pytest.mark.parametrize(
    ("name", "rows"),
    {
        "vqa": ("r.json", [{"question_id": 7, "answer": "b"}, {"question_id": 42, "answer": "a"}]),
        "pope_captions": ("r.jsonl", [{"question_id": 1, "image_id": 7, "text": "b"},
                                      {"question_id": 2, "image_id": 42, "text": "a"}]),
        "llava": ("r.jsonl", [{"question_id": "7", "text": "b", "prompt": "?"}, {"question_id": "42", "text": "a"}]),
        "lmms_eval": ("r.jsonl", [{"doc_id": 1, "target": "['yes']", "filtered_resps": "b", "input": "Who?"},
                                  {"doc_id": 0, "target": "['yes']", "filtered_resps": "a"}]),
        "lmms_eval_metric": ("r.jsonl", [{"doc_id": 0, "filtered_resps": "b", "acc": {"question_id": 7, "pred": "b"}},
                                         {"doc_id": 1, "filtered_resps": "a", "acc": {"question_id": 42}}]),
        "pangea": ("r.json", {"args": {}, "logs": [
            {"doc_id": 0, "doc": {"image_id": 7, "answer": "yes"}, "target": "yes", "filtered_resps": ["b"]},
            {"doc_id": 1, "doc": {"image_id": 42}, "target": "yes", "resps": [["a"]], "filtered_resps": ["a"]}]}),
        "ours": ("r.jsonl", [{"id": "7", "language": "en", "condition": "as_is", "output": "b", "image_id": "x"},
                             {"id": "42", "language": "en", "condition": "as_is", "output": "a", "image_id": "y"}]),
    }.values(),
)  # fmt: skip
def test_the_formats_are_told_apart_by_their_fields(tmp_path, name, rows):
    if isinstance(rows, dict):
        (tmp_path / name).write_text(json.dumps(rows, indent=4), encoding="utf-8")
    else:
        write_json(tmp_path / name, rows) if name.endswith(".json") else write_lines(tmp_path / name, rows)
    assert answers(PHOTOS, tmp_path / name) == {"as_is 42": "a", "as_is 7": "b"}


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_table_of_vlmevalkit_is_read_in_its_order(tmp_path, delimiter):
    path = tmp_path / ("r.csv" if delimiter == "," else "r.tsv")
    rows = [
        ("index", "question", "answer", "prediction"),
        ("0", "Describe.", "['Yes']", "a"),
        ("1", "Describe.", "yes", ""),
    ]
    path.write_text("".join(delimiter.join(f'"{cell}"' for cell in row) + "\n" for row in rows), encoding="utf-8")
    assert answers(PHOTOS, path) == {"as_is 42": "a", "as_is 7": ""}


def test_a_sheet_is_read_or_says_what_is_missing(tmp_path, monkeypatch):
    cells = [("index", "answer", "prediction"), (0, "yes", "a"), (None, None, None), (1, "Yes", None)]
    sheet = SimpleNamespace(iter_rows=lambda values_only: iter(cells))
    book = SimpleNamespace(load_workbook=lambda path, read_only: SimpleNamespace(active=sheet))
    monkeypatch.setitem(sys.modules, "openpyxl", book)
    (tmp_path / "r.xlsx").write_text("index,prediction")
    assert answers(PHOTOS, tmp_path / "r.xlsx") == {"as_is 42": "a", "as_is 7": ""}
    del cells[1:]
    with pytest.raises(ValueError, match=r"r\.xlsx has no rows"):
        answers(PHOTOS, tmp_path / "r.xlsx")
    book.load_workbook = lambda path, read_only: zipfile.ZipFile(path)
    with pytest.raises(ValueError, match=r"r\.xlsx is damaged or no sheet"):
        answers(PHOTOS, tmp_path / "r.xlsx")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ValueError, match=r"r\.xlsx: no openpyxl to read it\. Save it as CSV"):
        answers(PHOTOS, tmp_path / "r.xlsx")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"logs": []}', "has no rows"),
        ('{"logs": 3}', "found no answer among the fields logs"),
        ('{"logs": [3]}', r"logs\[0\]: found 3, a whole number, expected a sample"),
        ('{"42": "a",\n"7": "b"}', "found no answer among the fields 42, 7"),
    ],
)
def test_an_object_that_is_no_log_is_refused(tmp_path, text, message):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        answers(PHOTOS, tmp_path / "r.json")


def test_languages_are_told_by_files_or_by_rows(tmp_path):
    for language, code in (("de", "de"), ("iw", "he")):
        rows = [{"question_id": id, "answer": f"{language} {id}"} for id in ("202", "201")]
        write_json(tmp_path / f"r_{code}.json", rows)
    expected = {f"as_is {language}/{id}": f"{language} {id}" for language in ("de", "iw") for id in ("201", "202")}
    assert answers(QUESTIONS, tmp_path / "r_{language}.json") == expected
    assert answers(QUESTIONS, f"iw={tmp_path / 'r_he.json'}", f"de={tmp_path / 'r_de.json'}") == expected
    rows = [
        {"language": key[6:8].replace("iw", "he"), "question_id": key[9:], "text": text}
        for key, text in expected.items()
    ]
    assert answers(QUESTIONS, write_lines(tmp_path / "all.jsonl", rows)) == expected


def test_conditions_are_told_by_files_or_by_rows_and_those_without_a_file_are_left_out(tmp_path):
    for split in ("random", "popular"):
        write_lines(
            tmp_path / f"{split}.jsonl", [{"question": "Who?", "answer": f"{split} {id}"} for id in ("1", "2")]
        )
    expected = {f"{split} {id}": f"{split} {id}" for split in ("random", "popular") for id in ("1", "2")}
    assert answers(SPLITS, tmp_path / "{condition}.jsonl") == expected
    rows = [{"category": key[:-2], "question_id": int(key[-1]), "prediction": text} for key, text in expected.items()]
    assert answers(SPLITS, write_lines(tmp_path / "all.jsonl", rows)) == expected
    files = predictions_files([f"popular={tmp_path / 'popular.jsonl'}"], SPLITS)
    task, outputs = match_answers(SPLITS, files)
    assert (task.marks, outputs) == (("only popular",), ["popular 1", "popular 2"])


@pytest.mark.parametrize(
    ("task", "rows", "message"),
    [
        (PHOTOS, [{"id": 42, "text": "a"}], r"no answer to 1 of 2 examples, such as '7' in 'en' under 'as_is'"),
        (PHOTOS, [{"id": id, "text": "a"} for id in (42, 7, 8, 9)], r"2 of 4 answers fit no example.*line 3 \(id 8\)"),
        (PHOTOS, [{"id": id, "text": "a"} for id in (42, 7, 42)], r"line 1 and .*line 3 both answer '42'"),
        (SPLITS, [{"id": id, "text": "a"} for id in (1, 2)], r"2 of 2 answers fit several examples .*\{condition\}"),
        (QUESTIONS, [{"question_id": 201, "text": "a"}], r"1 of 1 answers fit several .*or NAME=FILE"),
        (QUESTIONS, [{"id": 201, "language": "fr", "text": "a"}] * 2 + [{"id": 201, "language": "de", "text": "a"}],
         r"2 of 3 answers fit no example of the task, such as .*line 1 \(id 201\)"),
        (PHOTOS, [{"id": 42, "text": "Who?", "answer": "a"}], "found answer and text among the fields id"),
        (PHOTOS, [{"id": 42, "reply": "a"}], r"found no answer among the fields id, reply, expected one of filtered"),
        (PHOTOS, [{"id": 42, "text": {"a": 1}}], r"line 1: `text` is an object of 1, expected text"),
        (PHOTOS, [{"text": "a"}], r"no field names an example or image .* in their order 1 of 1 rows fit the 2"),
        (QUESTIONS, [{"question": q, "answer": "a"} for q in ("202? (de)", "201? (de)", "201? (iw)", "202? (iw)")],
         "in their order 2 of 4 rows fit the 4 examples"),
        (PHOTOS, [{"doc_id": 0, "target": "no", "filtered_resps": "a"}], "in their order 0 of 1 rows fit"),
        (PHOTOS, [{"doc_id": 2, "target": "yes", "filtered_resps": "a"}], "in their order 0 of 1 rows fit the 2"),
    ],
)  # fmt: skip
def test_answers_that_do_not_fit_are_counted_and_named(tmp_path, task, rows, message):
    with pytest.raises(ValueError, match=message):
        answers(task, write_lines(tmp_path / "r.jsonl", rows))


ASKED = task_of(
    *(
        example(id, condition=split, question=question, right=right)
        for split, other in (("random", "A cat?"), ("popular", "A cup?"))
        for id, question, right in (("1", "A dog?", "yes"), ("2", other, "no"))
    )
)


def test_rows_without_ids_are_in_order_in_each_condition_that_they_tell(tmp_path):
    rows = [
        {"index": index, "question": question, "answer": right, "category": split, "prediction": f"{split} {question}"}
        for index, (split, question, right) in enumerate(
            (
                ("popular", "A dog?", "Yes"),
                ("popular", "A cup?", "No"),
                ("random", "A dog?", "Yes"),
                ("random", "A cat?", "No"),
            )
        )
    ]
    found = answers(ASKED, write_json(tmp_path / "r.json", rows))
    assert list(found.values()) == ["random A dog?", "random A cat?", "popular A dog?", "popular A cup?"]
    for row in rows:
        del row["category"]
    with pytest.raises(ValueError, match="in their order 2 of 4 rows fit the 4 examples"):
        answers(ASKED, write_json(tmp_path / "r.json", rows))


def test_a_file_of_another_part_is_refused_if_its_questions_are_told(tmp_path):
    rows = [
        {"question_id": 1, "question": "A dog?", "text": "a"},
        {"question_id": 2, "question": "A cup?", "text": "b"},
    ]
    path = write_lines(tmp_path / "r.jsonl", rows)
    assert list(answers(ASKED, f"popular={path}").values()) == ["a", "b"]
    with pytest.raises(ValueError, match=r"1 of 2 answers ask another question than .* line 2 \(question_id 2\)"):
        answers(ASKED, f"random={path}")


def test_answers_of_another_benchmark_are_not_taken_in_their_order(tmp_path):
    path = write_lines(tmp_path / "r.jsonl", [{"question_id": id, "answer": "a"} for id in (901, 902)])
    with pytest.raises(ValueError, match="in their order 0 of 2 rows fit"):
        answers(PHOTOS, path)


def test_equal_questions_about_an_image_are_taken_in_order_and_longer_ones_are_others(tmp_path):
    questions = ("What kind?", "Who is it?", "What kind?", "Guess who is it?")
    task = task_of(*(example(f"{number}", question=question) for number, question in enumerate(questions)))
    docs = [{"image_id": 42, "question": question} for question in questions]
    rows = [{"doc_id": n, "doc": docs[n], "filtered_resps": f"{n}"} for n in (2, 3, 1, 0)]
    assert list(answers(task, write_lines(tmp_path / "r.jsonl", rows)).values()) == ["0", "1", "2", "3"]
    with pytest.raises(ValueError, match=r"1 of 3 answers fit several examples .* line 1 \(image_id 42\)"):
        answers(task, write_lines(tmp_path / "r.jsonl", rows[:3]))


def test_true_and_false_are_yes_and_no_of_pangeas_marvl(tmp_path):
    task = task_of(example("sw-0", right="yes"), example("sw-1", right="no"))
    rows = [
        {"doc_id": n, "target": right, "doc": {"id": f"x{n}", "conversations": []}, "filtered_resps": [f"{n}"]}
        for n, right in enumerate(("true", "false"))
    ]
    (tmp_path / "r.json").write_text(json.dumps({"args": {}, "logs": rows}))  # in one line
    assert list(answers(task, tmp_path / "r.json").values()) == ["0", "1"]


def test_fields_without_a_value_and_numbers_are_no_obstacle(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(
        '\ufeff[{"image_id": 42, "hint": NaN, "prediction": "a"},\r\n{"image_id": "7", "prediction": 2.50}]'
    )
    assert answers(PHOTOS, path) == {"as_is 42": "a", "as_is 7": "2.50"}
    path.write_text('[{"image_id": 42, "prediction": NaN}]')
    with pytest.raises(ValueError, match="row 0: `prediction` is nothing, expected text"):
        answers(PHOTOS, path)


def test_the_record_names_the_files_of_answers_with_their_digests(tmp_path):
    path = write_lines(tmp_path / "r.jsonl", [{"id": 42, "text": "a"}, {"id": 7, "text": "b"}])
    task, _ = match_answers(PHOTOS, predictions_files([str(path)], PHOTOS))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert task.files == (FileRead(str(path), "answers", 2, sha256=digest),)


def test_a_question_tells_which_of_several_about_an_image_is_answered(tmp_path):
    docs = [(1, "202? (de)"), (0, "201? (de)"), (3, "202? (iw)"), (2, "201? (iw)")]
    rows = [
        {
            "doc_id": number,
            "doc": {"image_id": "42", "question": question, "answer": "?"},
            "filtered_resps": [question],
        }
        for number, question in docs
    ]
    expected = {f"as_is {code}/{id}": f"{id}? ({code})" for code in ("de", "iw") for id in ("201", "202")}
    assert answers(QUESTIONS, write_lines(tmp_path / "r.jsonl", rows)) == expected


def test_missing_answers_may_count_as_empty_with_a_mark(tmp_path):
    path = write_lines(tmp_path / "r.jsonl", [{"id": 42, "text": "a", "answer": "b"}])
    task, outputs = match_answers(
        PHOTOS, predictions_files([str(path)], PHOTOS), missing="wrong", answer_field="answer"
    )
    assert (task.marks, outputs) == (("1 missing answers counted as empty",), ["b", ""])
