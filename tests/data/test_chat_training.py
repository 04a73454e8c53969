"""A decoder-only model with a chat template of its own under transformers' plain Trainer."""

import copy

import pytest
import torch
from chat_models import CHAT_MODELS, NUM_QUERY_TOKENS, chat_processor
from tiny import tiny_model, tiny_text_config
from tiny_inputs import row
from transformers import Trainer, TrainingArguments

from mblip.data.collator import GenerationCollator, MBlipCollator
from mblip.data.example import rows_to_dataset
from mblip.data.training_rows import TrainingRows

SHOWN = [row(c, colours=(c,), prompts=("what",), targets=(t,)) for c, t in (("red", "dog"), ("blue", "cat"))]


def model_for(processor):
    return tiny_model(
        "qwen3",
        text_config=tiny_text_config("qwen3", vocab_size=len(processor.tokenizer)),
        num_query_tokens=NUM_QUERY_TOKENS,
        image_token_id=processor.image_token_id,
    )


def trained(tmp_path, model, collator, **kwargs):
    """The trainer after training a copy of `model`."""
    arguments = TrainingArguments(
        tmp_path,
        per_device_train_batch_size=2,
        remove_unused_columns=False,
        accelerator_config={"dispatch_batches": False},
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        save_strategy="no",
        logging_steps=1,
        **kwargs,
    )
    rows = TrainingRows(rows_to_dataset(SHOWN))
    trainer = Trainer(copy.deepcopy(model), arguments, data_collator=collator, train_dataset=rows)
    trainer.train()
    return trainer


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("name", ["qwen2.5", "gemma"])
def test_a_step_learns_the_answers_and_their_end_of_turn_alone(tmp_path, name, smoothing):
    processor = chat_processor(CHAT_MODELS[name])
    model = model_for(processor)
    collator = MBlipCollator(processor, model.config)
    batch = collator(SHOWN)
    learned = [processor.tokenizer.decode(labels[labels != -100]) for labels in batch["labels"]]
    assert learned == [CHAT_MODELS[name].learned.replace("a red dog", answer) for answer in ("dog", "cat")]
    logits, labels = model(**batch).logits[:, :-1], batch["labels"][:, 1:]
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=smoothing)
    trainer = trained(tmp_path, model, collator, max_steps=1, label_smoothing_factor=smoothing)
    assert trainer.state.log_history[0]["loss"] == pytest.approx(expected.item(), rel=1e-4)
    assert not torch.equal(trainer.model.query_tokens.weight, model.query_tokens.weight)


def test_the_model_answers_what_the_images_show_and_ends_its_turn(tmp_path):
    processor = chat_processor(CHAT_MODELS["qwen2.5"])
    model = model_for(processor)
    collator = MBlipCollator(processor, model.config)
    trainer = trained(tmp_path, model, collator, max_steps=40, learning_rate=1e-2)
    inputs = GenerationCollator(processor, model.config)(SHOWN)
    eos_token_id = processor.tokenizer.eos_token_id  # the tiny configurations name another token
    answers = trainer.model.eval().generate(**inputs, max_new_tokens=8, do_sample=False, eos_token_id=eos_token_id)
    assert processor.batch_decode(answers) == ["dog<|im_end|>", "cat<|im_end|>"]
