import pytest
import torch
from table_model import example, knows_all
from tiny import tiny_model, tiny_processor

from mblip.evaluation import (
    EvaluationTask,
    ExactMatch,
    GenerationChanges,
    GenerationSettings,
    RunSettings,
    Setup,
    evaluate_task,
    run_task,
)
from mblip.evaluation.answering import are_cut
from mblip.evaluation.model_inputs import evaluating
from mblip.evaluation.runner import plan_batches, plan_chunks
from scenes.task import scenes

SMALL = RunSettings(batch_size=3, image_batch_size=2, generation=GenerationChanges(max_new_tokens=6))


def task_of(examples):
    return EvaluationTask("numbers", examples, ExactMatch(), GenerationSettings(max_new_tokens=4), "own")


def test_a_model_that_knows_all_is_always_right_and_never_with_shuffled_images():
    as_is = scenes(Setup(), languages=["en", "sw"], num_images=6, conditions=["as_is"])
    model, processor = knows_all(as_is.examples)
    task = scenes(Setup(), languages=["en", "sw"], num_images=6)
    predictions = evaluate_task(model, processor, task, settings=SMALL).predictions
    assert [p.score for p in predictions if p.condition == "as_is"] == [1.0] * 12
    assert [p.score for p in predictions if p.condition == "shuffled"] == [0.0] * 12


def test_predictions_come_in_the_order_of_the_examples():
    examples = [example(2), example(0), example(2, language="sw"), example(1)]
    predictions = run_task(*knows_all(examples), task_of(examples), settings=SMALL)
    assert [(p.id, p.output) for p in predictions] == [
        ("2/en", "answer 2"),
        ("0/en", "answer 0"),
        ("2/sw", "answer 2"),
        ("1/en", "answer 1"),
    ]


def test_every_image_is_encoded_once_for_all_prompts_languages_and_conditions():
    task = scenes(Setup(), languages=["en", "sw", "hi"], num_images=5, conditions=["as_is", "shuffled", "questions"])
    model, processor = knows_all(task.examples)
    run_task(model, processor, task, settings=RunSettings(batch_size=30, image_batch_size=2))
    assert model.num_encoded == [2, 2, 1]
    assert sum(model.batch_sizes) == len(task.examples)
    assert max(model.batch_sizes) == 30


@pytest.mark.parametrize("family", ["mt5", "llama", "bloom"])
def test_the_vit_sees_every_image_once_and_answers_are_those_of_single_calls(family):
    model, processor = tiny_model(family), tiny_processor(family)
    rows = []
    model.vision_model.register_forward_hook(lambda module, args, output: rows.append(len(output[0])))
    task = scenes(Setup(), languages=["en", "de"], num_images=5, conditions=["as_is", "shuffled", "questions"])
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
    images = [example(number).images[0] for number in (50, 200)]
    examples = [
        example(0, images=(), image_id="none"),
        example(1, images=(images[0],), image_id="one"),
        example(2, images=(images[1], images[0]), image_id="two"),
        example(3, images=(images[1], images[1]), image_id="twice"),
    ]
    settings = RunSettings(generation=GenerationChanges(max_new_tokens=6))
    outputs = [p.output for p in run_task(model, processor, task_of(examples), settings=settings)]
    for entry, output in zip(examples, outputs, strict=True):
        inputs = processor(images=[list(entry.images)], text=[entry.prompt], return_tensors="pt")
        with torch.no_grad():
            ids = model.generate(**inputs, max_new_tokens=6, do_sample=False)
        assert output == processor.batch_decode(ids, skip_special_tokens=True)[0].strip()


def test_empty_and_cut_answers_are_told_apart_and_never_right():
    examples = [example(0), example(1)]
    model, processor = knows_all(examples[:1])
    right, empty = evaluate_task(model, processor, task_of(examples)).predictions
    assert (right.score, right.is_empty, right.is_cut) == (1.0, False, False)
    assert (empty.score, empty.is_empty, empty.is_cut) == (0.0, True, False)


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


def test_chunks_hold_all_examples_of_an_image_set_in_an_order_of_their_own():
    examples = [example(n, language=language) for language in ("en", "sw") for n in range(3)]
    expected = [["0/en", "0/sw", "1/en", "1/sw"], ["2/en", "2/sw"]]
    assert [[entry.id for entry in chunk] for chunk in plan_chunks(examples, max_prompts=3)] == expected
    assert [[entry.id for entry in chunk] for chunk in plan_chunks(examples[::-1], max_prompts=3)] == expected


@pytest.mark.parametrize(("num_images", "sizes"), [(64, [64]), (130, [64, 64, 2]), (3600, [225] * 16)])
def test_there_are_sixteen_chunks_where_there_are_images_enough(num_images, sizes):
    image = example(0).images
    examples = [example(n, images=image) for n in range(num_images)]
    assert [len(chunk) for chunk in plan_chunks(examples)] == sizes


def test_batches_hold_prompts_of_like_length():
    ids = [[0] * length for length in (5, 2, 4, 2, 9)]
    assert list(plan_batches([example(n) for n in range(5)], ids, 2)) == [[1, 3], [2, 0], [4]]


def test_batches_hold_equal_prompts_as_far_as_may_be():
    ids = [[7, 3], [7, 2], [7, 3], [7, 2]]
    assert list(plan_batches([example(n) for n in range(4)], ids, 2)) == [[1, 3], [0, 2]]


def test_generation_is_greedy_unless_told_otherwise_and_penalties_are_passed_where_they_act():
    assert GenerationSettings(4).arguments() == {"max_new_tokens": 4, "num_beams": 1, "do_sample": False}
    changed = GenerationChanges(num_beams=5, length_penalty=-1.0, repetition_penalty=1.5, min_new_tokens=1)
    assert changed.applied_to(GenerationSettings(10)).arguments() == {
        "max_new_tokens": 10,
        "num_beams": 5,
        "do_sample": False,
        "length_penalty": -1.0,
        "repetition_penalty": 1.5,
        "min_new_tokens": 1,
    }
