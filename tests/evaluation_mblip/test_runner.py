import json

import pytest
import torch
from table_model import TableModel, example, knows_all
from tiny import tiny_model, tiny_processor

from evaluation_mblip import EvaluationTask, GenerationSettings, RunSettings, read_predictions, run_task, scenes_task
from evaluation_mblip.generation import are_cut, evaluating
from evaluation_mblip.metrics.exact_match import is_exact_match
from evaluation_mblip.model_inputs import batch_like_prompts, chunk_by_images

SMALL = RunSettings(batch_size=3, image_batch_size=2, generation=GenerationSettings(max_new_tokens=6))


def task_of(examples):
    return EvaluationTask("numbers", examples, is_exact_match, "exact match", max_new_tokens=4)


def test_a_model_that_knows_all_is_always_right_and_never_with_shuffled_pictures():
    as_is = scenes_task(languages=["en", "sw"], num_images=6, conditions=["as_is"])
    model, processor = knows_all(as_is.examples)
    predictions = run_task(model, processor, scenes_task(languages=["en", "sw"], num_images=6), settings=SMALL)
    assert [p.is_right for p in predictions if p.condition == "as_is"] == [True] * 12
    assert [p.is_right for p in predictions if p.condition == "shuffled"] == [False] * 12


def test_predictions_come_in_the_order_of_the_examples():
    examples = [example(2), example(0), example(2, language="sw"), example(1)]
    predictions = run_task(*knows_all(examples), task_of(examples), settings=SMALL)
    assert [(p.id, p.output) for p in predictions] == [
        ("2/en", "answer 2"),
        ("0/en", "answer 0"),
        ("2/sw", "answer 2"),
        ("1/en", "answer 1"),
    ]


def test_the_predictions_file_holds_a_line_for_each_answer(tmp_path):
    examples = [example(7, references=("answer 7", "seven"))]
    path = tmp_path / "new" / "predictions.jsonl"
    predictions = run_task(*knows_all(examples), task_of(examples), predictions_path=path)
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "id": "7/en",
        "condition": "as_is",
        "language": "en",
        "image_id": "picture-7",
        "prompt": "prompt in en",
        "output": "answer 7",
        "references": ["answer 7", "seven"],
        "is_right": True,
        "is_cut": False,
    }
    assert read_predictions(path) == predictions


def test_answers_are_on_disk_as_they_come_and_no_part_of_them_bears_the_final_name(tmp_path):
    class BreaksDown(TableModel):
        def generate(self, **kwargs):
            if self.batch_sizes:
                raise RuntimeError("out of memory")
            return super().generate(**kwargs)

    examples = [example(number) for number in range(5)]
    model, processor = knows_all(examples)
    model = BreaksDown(processor, model.answers)
    with pytest.raises(RuntimeError, match="out of memory"):
        run_task(model, processor, task_of(examples), settings=SMALL, predictions_path=tmp_path / "p.jsonl")
    assert [file.name for file in tmp_path.iterdir()] == ["p.jsonl.unfinished"]
    assert [p.id for p in read_predictions(tmp_path / "p.jsonl.unfinished")] == ["0/en", "1/en", "2/en"]


def test_every_picture_is_encoded_once_for_all_prompts_languages_and_conditions():
    task = scenes_task(languages=["en", "sw", "hi"], num_images=5, conditions=["as_is", "shuffled", "questions"])
    model, processor = knows_all(task.examples)
    run_task(model, processor, task, settings=RunSettings(batch_size=30, image_batch_size=2))
    assert model.num_encoded == [2, 2, 1]
    assert sum(model.batch_sizes) == len(task.examples)
    assert max(model.batch_sizes) == 30


@pytest.mark.parametrize("family", ["mt5", "llama", "bloom"])
def test_the_vit_sees_every_picture_once_and_answers_are_those_of_single_calls(family):
    model, processor = tiny_model(family), tiny_processor(family)
    rows = []
    model.vision_model.register_forward_hook(lambda module, args, output: rows.append(len(output[0])))
    task = scenes_task(languages=["en", "de"], num_images=5, conditions=["as_is", "shuffled", "questions"])
    predictions = run_task(model, processor, task, settings=SMALL)
    assert sum(rows) == 5
    for entry, prediction in list(zip(task.examples, predictions, strict=True))[::7]:
        inputs = processor(images=entry.images[0], text=entry.prompt, return_tensors="pt")
        with torch.no_grad():
            ids = model.generate(**inputs, max_new_tokens=6, do_sample=False)
        assert prediction.output == processor.batch_decode(ids, skip_special_tokens=True)[0].strip()
        assert entry.prompt not in prediction.output


@pytest.mark.parametrize("family", ["mt5", "llama"])
def test_prompts_with_no_image_one_and_two_are_asked_in_one_batch(family):
    model, processor = tiny_model(family), tiny_processor(family)
    pictures = [example(number).images[0] for number in (50, 200)]
    examples = [
        example(0, images=(), image_id="none"),
        example(1, images=(pictures[0],), image_id="one"),
        example(2, images=(pictures[1], pictures[0]), image_id="two"),
        example(3, images=(pictures[1], pictures[1]), image_id="twice"),
    ]
    settings = RunSettings(generation=GenerationSettings(max_new_tokens=6))
    outputs = [p.output for p in run_task(model, processor, task_of(examples), settings=settings)]
    for entry, output in zip(examples, outputs, strict=True):
        inputs = processor(images=[list(entry.images)], text=[entry.prompt], return_tensors="pt")
        with torch.no_grad():
            ids = model.generate(**inputs, max_new_tokens=6, do_sample=False)
        assert output == processor.batch_decode(ids, skip_special_tokens=True)[0].strip()


def test_empty_and_cut_answers_are_wrong_and_told_apart():
    examples = [example(0), example(1)]
    model, processor = knows_all(examples[:1])
    right, empty = run_task(model, processor, task_of(examples))
    assert (right.is_right, right.is_empty, right.is_cut) == (True, False, False)
    assert (empty.is_right, empty.is_empty, empty.is_cut) == (False, True, False)


def test_an_answer_without_an_end_is_cut_and_a_start_token_is_no_end():
    model = tiny_model("bart")  # its decoder starts with its end token, 2
    ids_BL = torch.tensor([[2, 5, 2, 1], [2, 5, 6, 7]])
    assert are_cut(model, ids_BL) == [False, True]
    assert are_cut(tiny_model("llama"), ids_BL) == [False, False]


def test_every_module_is_afterwards_in_the_mode_it_was_in():
    model = tiny_model("mt5").train()
    model.vision_model.eval()
    modes = [module.training for module in model.modules()]
    with evaluating(model):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
    assert [module.training for module in model.modules()] == modes
    assert torch.is_grad_enabled()


def test_a_broken_image_is_an_error_that_names_it(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    broken = example(0, images=(tmp_path / "broken.png",), image_id="photo 17")
    with pytest.raises(ValueError, match=r"Image set 'photo 17': .*broken.png cannot be read as an image"):
        run_task(*knows_all([example(1)]), task_of([broken]))


def test_chunks_hold_all_examples_of_an_image_set():
    examples = [example(n, language=language) for language in ("en", "sw") for n in range(3)]
    chunks = [[entry.id for entry in chunk] for chunk in chunk_by_images(examples, num_images=9, num_prompts=3)]
    assert chunks == [["0/en", "0/sw", "1/en", "1/sw"], ["2/en", "2/sw"]]
    chunks = [[entry.id for entry in chunk] for chunk in chunk_by_images(examples, num_images=1, num_prompts=9)]
    assert chunks == [["0/en", "0/sw"], ["1/en", "1/sw"], ["2/en", "2/sw"]]


def test_batches_hold_prompts_of_like_length():
    ids = [torch.zeros(length) for length in (5, 2, 4, 2, 9)]
    assert list(batch_like_prompts(ids, 2)) == [[1, 3], [2, 0], [4]]


def test_batches_hold_equal_prompts_as_far_as_may_be():
    ids = [torch.tensor(prompt) for prompt in ([7, 3], [7, 2], [7, 3], [7, 2])]
    assert list(batch_like_prompts(ids, 2)) == [[1, 3], [0, 2]]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (GenerationSettings(), {"max_new_tokens": 4, "num_beams": 1, "do_sample": False}),
        (
            GenerationSettings(max_new_tokens=10, num_beams=5, length_penalty=-1.0, repetition_penalty=1.5),
            {
                "max_new_tokens": 10,
                "num_beams": 5,
                "do_sample": False,
                "length_penalty": -1.0,
                "repetition_penalty": 1.5,
            },
        ),
    ],
)
def test_generation_is_greedy_with_the_length_of_the_task_unless_told_otherwise(settings, expected):
    assert settings.with_default_length(4).arguments() == expected
