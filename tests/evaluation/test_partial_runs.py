"""Answers are kept as they come; runs that are killed go on, and never with another run's answers."""

import contextlib
import json
import shutil
from dataclasses import replace

import pytest
import torch
from table_model import TableModel, example, knows_all

from mblip.evaluation import (
    EvaluationTask,
    ExactMatch,
    GenerationChanges,
    GenerationSettings,
    RunSettings,
    evaluate_task,
    read_predictions,
    run_task,
)
from mblip.evaluation.partial_answers import PartialAnswers
from mblip.evaluation.predictions import predict

SMALL = RunSettings(batch_size=3, image_batch_size=2)


def task_of(examples):
    return EvaluationTask("numbers", examples, ExactMatch(), GenerationSettings(max_new_tokens=4), "own")


class Killed(BaseException):
    """Ends a run as SIGKILL does: nothing that catches errors catches it."""


class KilledModel(TableModel):
    """Answers so many batches, and is killed."""

    num_left = 0

    def generate(self, **kwargs):
        if self.num_left == 0:
            raise Killed
        self.num_left -= 1
        return super().generate(**kwargs)


def killed_after(num_batches, examples):
    model, processor = knows_all(examples)
    killed = KilledModel(processor, model.answers)
    killed.num_left = num_batches
    return killed, processor


EXAMPLES = [example(number, language=language) for number in range(100) for language in ("en", "sw")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed") / "p.jsonl"
    evaluate_task(*knows_all(EXAMPLES), task_of(EXAMPLES), settings=SMALL, predictions_path=path)
    return path.read_bytes()


def test_the_file_of_predictions_holds_a_scored_line_for_each_answer(tmp_path):
    examples = [example(7, references=("answer 7", "seven"))]
    path = tmp_path / "new" / "predictions.jsonl"
    results = evaluate_task(*knows_all(examples), task_of(examples), predictions_path=path)
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "task": "numbers",
        "protocol": "own",
        "id": "7/en",
        "condition": "as_is",
        "language": "en",
        "image_id": "picture-7",
        "prompt": "prompt in en",
        "output": "answer 7",
        "references": ["answer 7", "seven"],
        "is_cut": False,
        "log_likelihoods": {},
        "score": 1.0,
    }
    assert tuple(read_predictions(path)) == results.predictions
    assert [file.name for file in path.parent.iterdir()] == ["predictions.jsonl"]


def test_a_run_that_is_killed_ten_times_gives_the_file_of_an_undisturbed_one_and_asks_nothing_twice(
    tmp_path, undisturbed
):
    path, num_asked = tmp_path / "p.jsonl", []
    for _ in range(10):
        model, processor = killed_after(5, EXAMPLES)
        with pytest.raises(Killed):
            evaluate_task(model, processor, task_of(EXAMPLES), settings=SMALL, predictions_path=path)
        num_asked.append(sum(model.batch_sizes))
        assert not path.exists()
    model, processor = knows_all(EXAMPLES)
    evaluate_task(model, processor, task_of(EXAMPLES), settings=SMALL, predictions_path=path)
    assert path.read_bytes() == undisturbed
    assert sum(num_asked) + sum(model.batch_sizes) == len(EXAMPLES)
    assert [file.name for file in tmp_path.iterdir()] == ["p.jsonl"]


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\x0c", "\x85", "\u2028", "\ud83d"])
def test_texts_with_separators_of_lines_or_half_characters_are_taken_up_as_they_were(tmp_path, separator):
    examples = [example(number, references=(f"one{separator}{number}",)) for number in range(9)]
    path = tmp_path / "p.jsonl"
    model, processor = killed_after(2, examples)
    with pytest.raises(Killed):
        evaluate_task(model, processor, task_of(examples), settings=SMALL, predictions_path=path)
    evaluate_task(*knows_all(examples), task_of(examples), settings=SMALL, predictions_path=path)
    assert [p.output for p in read_predictions(path)] == [f"one{separator}{number}" for number in range(9)]


@pytest.mark.parametrize("num_bytes", [1, 40, 600])
def test_a_line_torn_by_the_kill_is_answered_again(tmp_path, undisturbed, num_bytes):
    path = tmp_path / "p.jsonl"
    chunk = killed_run(path)
    chunk.write_bytes(chunk.read_bytes()[:-num_bytes])
    evaluate_task(*knows_all(EXAMPLES), task_of(EXAMPLES), settings=SMALL, predictions_path=path)
    assert path.read_bytes() == undisturbed


def killed_run(path):
    """A run of which four batches are on disk; returns the file of its answers."""
    model, processor = killed_after(4, EXAMPLES)
    with pytest.raises(Killed):
        evaluate_task(model, processor, task_of(EXAMPLES), settings=SMALL, predictions_path=path)
    return path.with_name("p.jsonl.partial") / "chunk-00000.jsonl"


def flip_a_bit_of_an_answer(chunk):
    chunk.write_bytes(chunk.read_bytes().replace(b'"output": "answer 0"', b'"output": "answer 1"', 1))


def damage(name, content):
    return lambda chunk: chunk.with_name(name).write_bytes(content)


DAMAGES = {
    "a chunk of NULs": lambda chunk: chunk.write_bytes(bytes(90) + b"\n"),
    "NULs behind the answers": lambda chunk: chunk.write_bytes(chunk.read_bytes() + bytes(9) + b"\n"),
    "other fields": lambda chunk: chunk.write_bytes(b'{"id": 7}\n' + chunk.read_bytes()),
    "no UTF-8": lambda chunk: chunk.write_bytes(b"\xff\n" + chunk.read_bytes()),
    "a line without its end": lambda chunk: chunk.write_bytes(chunk.read_bytes().replace(b"}\t", b"\n", 1)),
    "another answer": flip_a_bit_of_an_answer,
    "an empty run.json": damage("run.json", b""),
    "a run.json of NULs": damage("run.json", bytes(9)),
    "a run.json that is a list": damage("run.json", b"[]"),
    "a lost run.json": lambda chunk: chunk.with_name("run.json").unlink(),
    "times of NULs": damage("seconds.txt", bytes(9) + b"\n" + b"nan\n"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_answers_are_asked_again(tmp_path, undisturbed, kind, caplog):
    path = tmp_path / "p.jsonl"
    DAMAGES[kind](killed_run(path))
    evaluate_task(*knows_all(EXAMPLES), task_of(EXAMPLES), settings=SMALL, predictions_path=path)
    assert path.read_bytes() == undisturbed
    assert ("asked again" in caplog.text) == ("run.json" not in kind and "times" not in kind)


def test_answers_of_another_run_are_asked_again_even_under_this_run_s_name(tmp_path):
    """As where files of two runs were mixed by hand."""
    answer = predict("numbers", "own", EXAMPLES[0], "stale")
    theirs, ours = PartialAnswers(tmp_path / "theirs"), PartialAnswers(tmp_path / "ours")
    theirs.begin({"weights": "1"})
    theirs.append(0, [answer])
    assert list(theirs.read(0).values()) == [answer]
    ours.begin({"weights": "2"})
    shutil.copy(theirs.folder / "chunk-00000.jsonl", ours.folder)
    assert ours.read(0) == {}
    assert (ours.folder / "chunk-00000.jsonl").read_bytes() == b""


def configure(model, processor):
    model.config.rope_theta = 10.0


def encode_otherwise(model, processor):
    processor.encode = lambda texts, num_images, **kwargs: [[7, 7, 7] for _ in texts]


def speak_otherwise(model, processor):
    """As with two entries of the vocabulary exchanged, of which no prompt has one."""
    processor.batch_decode = lambda sequences, **kwargs: ["ba"]


def see_otherwise(model, processor):
    processor.image_number = lambda image: 7


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"examples": EXAMPLES[:-1]}, "different examples"),
        (
            {"examples": [*(replace(each, images=EXAMPLES[2].images) for each in EXAMPLES[:2]), *EXAMPLES[2:]]},
            "different images",
        ),
        ({"settings": RunSettings(batch_size=3, generation=GenerationChanges(num_beams=2))}, "different settings"),
        ({"weights": 1.0}, "different weights"),
        ({"change": configure}, "different configuration"),
        ({"change": encode_otherwise}, "different processor"),
        ({"change": speak_otherwise}, "different processor"),
        ({"change": see_otherwise}, "different processor"),
    ],
)
def test_answers_of_another_run_are_never_taken_over(tmp_path, changes, named):
    path = tmp_path / "p.jsonl"
    killed_run(path)
    model, processor = knows_all(EXAMPLES)
    if "weights" in changes:
        model.weight = torch.nn.Parameter(torch.tensor(changes["weights"]))
    changes.get("change", lambda model, processor: None)(model, processor)
    with pytest.raises(ValueError, match=rf"p.jsonl.partial holds answers of another run, with {named}\."):
        evaluate_task(
            model,
            processor,
            task_of(changes.get("examples", EXAMPLES)),
            settings=changes.get("settings", SMALL),
            predictions_path=path,
        )


def test_the_time_of_a_run_that_was_killed_counts_all_its_starts(tmp_path, monkeypatch):
    path = tmp_path / "p.jsonl"
    clock = iter(range(0, 10_000, 10))  # every look at it takes ten seconds
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    model, processor = killed_after(4, EXAMPLES)
    with pytest.raises(Killed):
        evaluate_task(model, processor, task_of(EXAMPLES), settings=SMALL, predictions_path=path)
    assert PartialAnswers(path).seconds() == 40.0
    results = evaluate_task(*knows_all(EXAMPLES), task_of(EXAMPLES), settings=SMALL, predictions_path=path)
    num_left = -(-len(EXAMPLES) // 3) - 4
    assert results.seconds == 40.0 + 10 * (num_left + 2)


class PrintedModel(KilledModel):
    """Records the images of each batch that it encodes."""

    encoded: list[list[float]]

    def get_image_features(self, pixel_values):
        self.encoded.append(pixel_values.flatten().tolist())
        return super().get_image_features(pixel_values)


def encoded_batches(path, examples, *, num_batches):
    """The images that are encoded together until a run is killed, or ends."""
    killed, processor = killed_after(num_batches, examples)
    model = PrintedModel(processor, killed.answers)
    model.num_left, model.encoded = num_batches, []
    with contextlib.suppress(Killed):
        settings = RunSettings(batch_size=3, image_batch_size=4)
        run_task(model, processor, task_of(examples), settings=settings, predictions_path=path)
    return model.encoded


def test_a_run_taken_up_encodes_the_images_that_are_left_in_the_batches_of_an_undisturbed_one(tmp_path):
    examples = [example(number) for number in range(20)]
    whole = encoded_batches(tmp_path / "p.jsonl", examples, num_batches=3)
    assert [len(batch) for batch in whole] == [4, 4, 4, 4, 4]
    assert encoded_batches(tmp_path / "p.jsonl", examples, num_batches=1000) == whole[2:]  # nine prompts are answered


def test_what_is_kept_of_a_task_that_is_finished_is_taken_up_whole(tmp_path):
    path = tmp_path / "p.jsonl"
    asked = {"settings": SMALL, "predictions_path": path}
    first = evaluate_task(*knows_all(EXAMPLES), task_of(EXAMPLES), **asked, keeps_partial=True)
    model, processor = knows_all(EXAMPLES)
    assert evaluate_task(model, processor, task_of(EXAMPLES), **asked).predictions == first.predictions
    assert model.batch_sizes == model.num_encoded == []
    assert [file.name for file in tmp_path.iterdir()] == ["p.jsonl"]


def test_two_runs_never_answer_into_one_folder_at_once(tmp_path):
    path = tmp_path / "p.jsonl"
    model, processor = knows_all(EXAMPLES)
    with PartialAnswers(path).alone():
        with pytest.raises(OSError, match=r"Another process is answering into .*p\.jsonl\.partial\. Wait for it"):
            evaluate_task(model, processor, task_of(EXAMPLES), settings=SMALL, predictions_path=path)
        assert model.batch_sizes == []
    evaluate_task(model, processor, task_of(EXAMPLES), settings=SMALL, predictions_path=path)
    assert [file.name for file in tmp_path.iterdir()] == ["p.jsonl"]


def test_an_older_file_is_replaced_only_when_all_answers_are_in(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text("older\n")
    model, processor = killed_after(1, EXAMPLES)
    with pytest.raises(Killed):
        evaluate_task(model, processor, task_of(EXAMPLES), settings=SMALL, predictions_path=path)
    assert path.read_text() == "older\n"


@pytest.mark.parametrize("line", [b'{"id": "1"}', b"[]", b"\xff", b"[" * 100_000, b""])
def test_a_file_that_is_none_of_predictions_is_an_error_that_names_the_line(tmp_path, line):
    (tmp_path / "p.jsonl").write_bytes(line + b"\n")
    with pytest.raises(ValueError, match=r"p.jsonl, line 1: found no prediction"):
        read_predictions(tmp_path / "p.jsonl")


@pytest.mark.parametrize("changes", [{"output": None}, {"references": "a"}, {"references": [None]}, {"score": "1"}])
def test_a_prediction_with_a_value_of_another_type_is_named(tmp_path, changes):
    prediction = json.loads(predict("t", "p", EXAMPLES[0], "one").to_line())
    (tmp_path / "p.jsonl").write_text(json.dumps(prediction) + "\n" + json.dumps(prediction | changes) + "\n")
    with pytest.raises(ValueError, match=r"p.jsonl, line 2: found no prediction \(the line: `"):
        read_predictions(tmp_path / "p.jsonl")


def test_partial_answers_lie_beside_the_file_they_become(tmp_path):
    assert PartialAnswers(tmp_path / "p.jsonl").folder == tmp_path / "p.jsonl.partial"
