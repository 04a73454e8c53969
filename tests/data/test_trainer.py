"""transformers' own Trainer and Seq2SeqTrainer with the collator: no subclass, every step what it should be."""

import copy

import pytest
import torch
from datasets import Dataset
from tiny import tiny_model
from tiny_inputs import IMAGE, NUM_QUERY_TOKENS, PAD, row, tiny_processor
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, Trainer, TrainingArguments

from mblip.data.collator import GenerationCollator, MBlipCollator
from mblip.data.example import rows_to_dataset
from mblip.data.training_rows import TrainingRows, TrainingStream

COLOURS = ("red", "blue", "white", "black", "green", "yellow", "pink", "cyan")
FAMILIES = ("mt5", "qwen3")


def model_and_collator(family, **kwargs):
    model = tiny_model(family, num_query_tokens=NUM_QUERY_TOKENS, image_token_id=IMAGE)
    processor = tiny_processor(is_encoder_decoder=model.config.is_encoder_decoder)
    return model, MBlipCollator(processor, model.config, **kwargs)


def four_prompt_rows():
    prompts = ("what is this", "is this a dog", "this is", "answer")
    targets = ("a red dog", "yes", "a cat and a dog", "no")
    return [row(colour, colours=(colour,), prompts=prompts, targets=targets) for colour in COLOURS]


def one_prompt_rows():
    """Eight rows whose targets differ in length, among them one without an image and one with two."""
    rows = [
        row(colour, colours=(colour,), targets=("a red dog and a cat"[: 5 + 2 * i],))
        for i, colour in enumerate(COLOURS)
    ]
    return [row("none", colours=()), row("two", colours=("red", "blue")), *rows[2:]]


def arguments(tmp_path, kind=TrainingArguments, **kwargs):
    return kind(
        tmp_path,
        remove_unused_columns=False,
        accelerator_config={"dispatch_batches": False},
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        save_strategy="no",
        **({"learning_rate": 1e-2, "max_steps": 1} | kwargs),
    )


def trained(tmp_path, model, collator, rows, **kwargs):
    """The trainer after training a copy of `model`, so that weights can be compared with those before."""
    trainer = Trainer(copy.deepcopy(model), arguments(tmp_path, **kwargs), data_collator=collator, train_dataset=rows)
    trainer.train()
    return trainer


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["map-style", "streaming"])
def test_a_step_sends_an_image_through_the_vit_once_for_its_four_prompts(tmp_path, family, kind):
    model, collator = model_and_collator(family)
    dataset = rows_to_dataset(four_prompt_rows())
    rows = TrainingRows(dataset) if kind == "map-style" else TrainingStream(dataset.to_iterable_dataset())
    counts = {"vit": 0, "prompts": 0}
    model.vision_model.register_forward_pre_hook(
        lambda _, args, kwargs: counts.update(
            vit=counts["vit"] + len(kwargs.get("pixel_values", args[0] if args else ()))
        ),
        with_kwargs=True,
    )
    model.register_forward_pre_hook(
        lambda _, args, kwargs: counts.update(prompts=counts["prompts"] + len(kwargs["input_ids"])), with_kwargs=True
    )
    trainer = Trainer(
        model, arguments(tmp_path, per_device_train_batch_size=4), data_collator=collator, train_dataset=rows
    )
    trainer.train()
    assert counts == {"vit": 4, "prompts": 16}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_of_eight_trains_as_eight_accumulated_batches_of_one(tmp_path, family):
    model, collator = model_and_collator(family)
    rows = TrainingRows(rows_to_dataset(one_prompt_rows()))
    sgd = {"optim": "sgd", "max_grad_norm": 0.0, "logging_steps": 1, "max_steps": 2}
    together = trained(tmp_path, model, collator, rows, per_device_train_batch_size=8, **sgd)
    apart = trained(
        tmp_path, model, collator, rows, per_device_train_batch_size=1, gradient_accumulation_steps=8, **sgd
    )
    losses = [[log["loss"] for log in trainer.state.log_history if "loss" in log] for trainer in (together, apart)]
    assert len(losses[0]) == 2
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    before, after = dict(model.named_parameters()), dict(apart.model.named_parameters())
    assert not torch.equal(before["query_tokens.weight"], after["query_tokens.weight"])
    for name, weight in together.model.named_parameters():
        torch.testing.assert_close(
            after[name], weight, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_label_smoothing_of_the_plain_trainer_is_the_smoothed_loss(tmp_path, family):
    model, collator = model_and_collator(family)
    trainer = Trainer(model, arguments(tmp_path, label_smoothing_factor=0.1), data_collator=collator)
    batch = collator(one_prompt_rows())
    loss = trainer.compute_loss(model.train(), dict(batch))
    logits, labels = model.eval()(**batch).logits, batch["labels"]
    if not model.config.is_encoder_decoder:
        logits, labels = logits[:, :-1], labels[:, 1:]
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=0.1)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_decoder_inputs_of_the_collator_are_those_the_model_makes_itself():
    model, collator = model_and_collator("mt5")
    batch = collator(one_prompt_rows())
    loss = model(**batch).loss
    del batch["decoder_input_ids"]
    torch.testing.assert_close(model(**batch).loss, loss, rtol=0, atol=0)


def test_a_decoder_only_model_learns_the_targets_and_nothing_else():
    model, collator = model_and_collator("qwen3")
    rows = one_prompt_rows()
    batch = collator(rows)
    logits = model(**batch).logits[:, :-1]
    targets = batch["labels"][:, 1:]
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    assert model(**batch).loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert int((targets != -100).sum()) == sum(len(row["targets"][0].split()) + 1 for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_trainer_learns_what_the_images_show(tmp_path, family):
    model, collator = model_and_collator(family)
    shown = [row(c, colours=(c,), prompts=("what",), targets=(t,)) for c, t in (("red", "dog"), ("blue", "cat"))]
    rows = Dataset.from_list([*rows_to_dataset(shown)], features=rows_to_dataset(shown).features)
    trainer = trained(
        tmp_path, model, collator, TrainingRows(rows), per_device_train_batch_size=2, max_steps=80, learning_rate=3e-3
    )
    inputs = GenerationCollator(collator.processor, model.config)(shown)
    eos_token_id = collator.processor.tokenizer.eos_token_id  # the tiny configurations name another token
    answers = trainer.model.eval().generate(**inputs, max_new_tokens=3, do_sample=False, eos_token_id=eos_token_id)
    assert collator.processor.batch_decode(answers, skip_special_tokens=True) == ["dog", "cat"]


def test_the_seq2seq_trainer_evaluates_by_generation(tmp_path):
    model, collator = model_and_collator("mt5")
    rows = rows_to_dataset(one_prompt_rows())
    trainer = Seq2SeqTrainer(
        model,
        arguments(
            tmp_path,
            Seq2SeqTrainingArguments,
            predict_with_generate=True,
            generation_max_length=6,
            per_device_eval_batch_size=3,
        ),
        data_collator=collator,
        eval_dataset=rows,
    )
    output = trainer.predict(rows)
    assert output.predictions.shape[0] == output.label_ids.shape[0] == 8
    num_tokens = [int((labels > PAD).sum()) for labels in output.label_ids]  # the Trainer pads with either -100 or PAD
    assert num_tokens == [len(targets[0].split()) + 1 for targets in rows["targets"]]
    assert output.metrics["test_loss"] > 0
