"""transformers' own Trainer, no subclass: the loss it trains on is the textbook's, smoothed or not, accumulated or
not.
"""

import pytest
import torch
from peft import LoraConfig
from tiny import tiny_batch, tiny_model
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, Trainer, TrainingArguments

from mblip.training.trainable import set_trainable

QUIET = {"report_to": [], "use_cpu": True, "disable_tqdm": True, "remove_unused_columns": False, "save_strategy": "no"}


def rows_of(batch):
    return [{name: value[row] for name, value in batch.items()} for row in range(len(batch["input_ids"]))]


def stack(rows):
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def model_and_rows(family):
    model, batch = tiny_model(family), tiny_batch(family, 4)
    model.vision_model.requires_grad_(False)
    if model.config.is_encoder_decoder:
        batch["decoder_input_ids"] = model.prepare_decoder_input_ids_from_labels(batch["labels"])
    return model, batch


def textbook_loss(model, batch, smoothing):
    with torch.no_grad():
        logits = model(**{name: value for name, value in batch.items() if name != "labels"}).logits
    labels = batch["labels"]
    if not model.config.is_encoder_decoder:
        logits, labels = logits[:, :-1], labels[:, 1:]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=smoothing).item()


@pytest.mark.parametrize("family", ["mt5", "bloom"])
@pytest.mark.parametrize(
    ("smoothing", "smoothed_by"),
    [
        pytest.param(0.0, "model", marks=pytest.mark.slow),
        (0.1, "model"),
        pytest.param(0.1, "trainer", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("is_adapted", [False, True])
def test_the_training_loss_is_the_textbook_formula(family, smoothing, smoothed_by, is_adapted, tmp_path):
    model, batch = model_and_rows(family)
    expected = textbook_loss(model, batch, smoothing)
    if smoothed_by == "model":
        model.config.label_smoothing = smoothing
    if is_adapted:
        model = set_trainable(model, "re_alignment", LoraConfig(lora_alpha=16))
    arguments = TrainingArguments(
        str(tmp_path),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=4,
        max_steps=1,
        label_smoothing_factor=smoothing if smoothed_by == "trainer" else 0.0,
        **QUIET,
    )
    trainer = Trainer(model, arguments, train_dataset=rows_of(batch), data_collator=stack)
    assert trainer.train().training_loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_predict_returns_logits_alone(family, tmp_path):
    model, batch = model_and_rows(family)
    trainer = Trainer(model, TrainingArguments(str(tmp_path), **QUIET), data_collator=stack)
    out = trainer.predict(rows_of(batch))
    assert out.predictions.shape == (*batch["labels"].shape, 128)
    assert out.metrics["test_loss"] == pytest.approx(textbook_loss(model, batch, 0.0), rel=1e-5)


@pytest.mark.parametrize("family", ["mt5", "bloom"])
def test_predict_with_generate_returns_what_generate_returns(family, tmp_path):
    model, batch = model_and_rows(family)
    arguments = Seq2SeqTrainingArguments(str(tmp_path), predict_with_generate=True, **QUIET)
    rows = rows_of(batch)
    trainer = Seq2SeqTrainer(model, arguments, data_collator=stack)
    predicted = torch.as_tensor(trainer.predict(rows, max_new_tokens=5, min_new_tokens=5).predictions)
    prompts = {name: value for name, value in batch.items() if name not in ("labels", "decoder_input_ids")}
    expected = model.generate(**prompts, max_new_tokens=5, min_new_tokens=5)
    assert torch.equal(predicted[:, : expected.shape[1]], expected)
