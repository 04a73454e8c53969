"""TRL's SFTTrainer and DPOTrainer on a decoder-only model: neither is patched or subclassed."""

import copy
import re
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from PIL import Image

from mblip.data import MBlipCollator
from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor
from tests.tiny import IMAGE_TOKEN_ID, tiny_model, tiny_processor

pytestmark = [
    pytest.mark.engine,
    # TRL turns gradient checkpointing on and off by names that transformers 5.23 has renamed.
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning"),
]

PAGE = (Path(__file__).parents[2] / "docs/training.md").read_text(encoding="utf-8")
# The end of a turn is learned, as TRL asks of a template for `assistant_only_loss`.
TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'assistant' %}"
    "answer {% generation %}{{ message.content }} <eos> {% endgeneration %}{% else %}"
    "question {{ message.content }} {% endif %}{% endfor %}{% if add_generation_prompt %}answer {% endif %}"
)
NUM_IMAGES = (1, 0, 2, 1)
TARGETS = ("red", "a green star", "blue blue", "the red heart on the left")
LORA = {"r": 4, "lora_dropout": 0.0, "target_modules": r"language_model\..*_proj"}
STEPS = {"learning_rate": 3e-3, "lr_scheduler_type": "constant", "max_grad_norm": 0.0}


@pytest.fixture(scope="module")
def trl():
    return pytest.importorskip("trl", reason="needs TRL: pip install trl")


@pytest.fixture
def folder(tmp_path, request):
    """A model's folder, as from_pretrained reads it."""
    path = tmp_path / "model"
    family, image_token_id = getattr(request, "param", ("llama", IMAGE_TOKEN_ID))
    tiny_model(family, image_token_id=image_token_id).save_pretrained(path)
    processor = tiny_processor(family, image_token_id=image_token_id)
    processor.tokenizer.chat_template = TEMPLATE
    processor.save_pretrained(path)
    return path


def load(folder):
    return MBlipForConditionalGeneration.from_pretrained(folder), MBlipProcessor.from_pretrained(folder)


def images(number):
    colours = ("red", "green", "blue", "yellow")
    return [Image.new("RGB", (30, 40), colours[(number + i) % 4]) for i in range(NUM_IMAGES[number])]


def question(number):
    return [{"role": "user", "content": "what colour" + " left" * number}]


def answer(text):
    return [{"role": "assistant", "content": text}]


def conversations():
    """Rows with 1, 0, 2 and 1 images."""
    rows = range(len(TARGETS))
    return Dataset.from_list([{"messages": question(i) + answer(TARGETS[i]), "images": images(i)} for i in rows])


def completions():
    rows = range(len(TARGETS))
    return Dataset.from_list(
        [{"prompt": question(i), "completion": answer(TARGETS[i]), "images": images(i)} for i in rows]
    )


def preferences():
    rows = range(len(TARGETS))
    return Dataset.from_list(
        [
            {"prompt": question(i), "chosen": answer(TARGETS[i]), "rejected": answer("no"), "images": images(i)}
            for i in rows
        ]
    )


def own_rows():
    """The same texts and images as this package's rows."""
    rows = []
    for i, target in enumerate(TARGETS):
        (message,) = question(i)
        row = {"image_id": str(i), "images": images(i), "prompts": [message["content"]], "targets": [target]}
        rows.append(row | {"languages": ["en"], "tasks": ["vqa"], "sources": ["own"], "ids": [str(i)]})
    return rows


def arguments(config, folder, **changes):
    given = {"per_device_train_batch_size": 4, "max_steps": 1, "logging_steps": 1, "save_strategy": "no"}
    given |= {"use_cpu": True, "bf16": False, "report_to": "none", "disable_tqdm": True} | STEPS
    return config(str(folder.parent / "run"), **given | changes)


def train(trl, folder, data, kind="SFT", **changes):
    """Train a fresh model of `folder`; keyword arguments of the trainer stand beside those of its configuration."""
    model, processor = load(folder)
    model.vision_model.requires_grad_(False)
    trainer_class, config_class = getattr(trl, f"{kind}Trainer"), getattr(trl, f"{kind}Config")
    own = {name: changes.pop(name) for name in ("peft_config", "ref_model", "data_collator") if name in changes}
    resume = changes.pop("resume_from_checkpoint", None)
    config = arguments(config_class, folder, **changes)
    trainer = trainer_class(model, args=config, train_dataset=data, processing_class=processor, **own)
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def logged(trainer, name):
    return [entry[name] for entry in trainer.state.log_history if name in entry]


def loss_of_own_rows(folder):
    """The loss of this package's collator and model on the same texts and images."""
    model, processor = load(folder)
    return float(model.train()(**MBlipCollator(processor, model.config)(own_rows())).loss.detach())


def logits_of_own_rows(model, folder):
    _, processor = load(folder)
    with torch.no_grad():
        return model.eval()(**MBlipCollator(processor, model.config)(own_rows())).logits


def moved(trainer, folder):
    """The first parts of the names of parameters that are not those of `folder`."""
    before, _ = load(folder)
    after = trainer.model.state_dict()
    return {name.split(".")[0] for name, value in before.state_dict().items() if not torch.equal(value, after[name])}


@pytest.mark.parametrize("folder", [(name, 128) for name in ("llama", "qwen2", "gemma2", "granite")], indirect=True)
@pytest.mark.parametrize("kind", ["completion", "assistant", "own"])
def test_the_first_loss_on_the_answers_is_that_of_our_own_rows(trl, folder, kind):
    """Rows with 1, 0, 2 and 1 images, of different lengths."""
    if kind == "own":
        changes = {"data_collator": MBlipCollator(load(folder)[1], load(folder)[0].config)}
        trainer = train(trl, folder, Dataset.from_list(own_rows()), remove_unused_columns=False, **changes)
    else:
        data = completions() if kind == "completion" else conversations()
        trainer = train(trl, folder, data, assistant_only_loss=kind == "assistant")
    assert logged(trainer, "loss") == pytest.approx([loss_of_own_rows(folder)], abs=2e-6)


@pytest.mark.parametrize("folder", [("llama", 127)], indirect=True)
def test_the_first_loss_on_whole_conversations_is_ours_on_the_same_batch(trl, folder):
    """TRL also learns the prompt and its `<image>` tokens, where their id is in the vocabulary."""
    trainer = train(trl, folder, conversations())
    batch = trainer.data_collator([dict(row) for row in conversations()])
    assert (batch["labels"] != -100).sum(dim=1).tolist() == batch["attention_mask"].sum(dim=1).tolist()
    assert (batch["labels"] == 127).sum(dim=1).tolist() == [4, 0, 8, 4]
    assert logged(trainer, "loss") == pytest.approx([float(load(folder)[0].train()(**batch).loss.detach())], abs=2e-6)


def test_whole_conversations_are_refused_where_image_tokens_have_no_logits(trl, folder):
    with pytest.raises(ValueError, match=r"labels hold `<image>` tokens.*`assistant_only_loss=True`"):
        train(trl, folder, conversations())


def test_two_accumulated_halves_are_one_batch(trl, folder):
    whole = train(trl, folder, completions(), optim="sgd")
    halves = train(
        trl, folder, completions(), optim="sgd", per_device_train_batch_size=2, gradient_accumulation_steps=2
    )
    assert logged(halves, "loss") == pytest.approx(logged(whole, "loss"), abs=2e-6)
    assert logged(halves, "grad_norm") == pytest.approx(logged(whole, "grad_norm"), abs=2e-6)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(halves.model.state_dict()[name], value, msg=name)


def test_twenty_steps_lower_the_loss_and_the_saved_model_gives_the_same_logits(trl, folder):
    trainer = train(trl, folder, completions(), max_steps=20)
    found = logged(trainer, "loss")
    assert found[-1] < found[0] - 1
    assert moved(trainer, folder) == {"query_tokens", "qformer", "language_projection", "language_model"}
    trainer.save_model(folder.parent / "saved")
    saved, _ = load(folder.parent / "saved")
    assert torch.equal(logits_of_own_rows(saved, folder), logits_of_own_rows(trainer.model, folder))


def test_a_resumed_run_ends_with_the_weights_of_one_that_never_stopped(trl, folder):
    changes = {"max_steps": 8, "per_device_train_batch_size": 2, "save_strategy": "steps", "save_steps": 4}
    whole = train(trl, folder, completions(), **changes)
    resumed = train(trl, folder, completions(), resume_from_checkpoint=folder.parent / "run/checkpoint-4", **changes)
    assert logged(resumed, "loss") == logged(whole, "loss")
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


@pytest.mark.parametrize("modules_to_save", [None, ["query_tokens", "qformer", "language_projection"]])
def test_lora_is_trained_alone_and_loads_again(trl, folder, modules_to_save):
    peft_config = LoraConfig(**LORA, modules_to_save=modules_to_save)
    trainer = train(trl, folder, completions(), max_steps=20, learning_rate=2e-2, peft_config=peft_config)
    found = logged(trainer, "loss")
    assert found[0] == pytest.approx(loss_of_own_rows(folder), abs=2e-6)
    assert found[-1] < found[0] - 0.3
    trainer.save_model(folder.parent / "adapter")
    logits = logits_of_own_rows(trainer.model, folder)
    with trainer.model.disable_adapter():
        torch.testing.assert_close(
            logits_of_own_rows(trainer.model, folder), logits_of_own_rows(load(folder)[0], folder)
        )
    loaded = PeftModel.from_pretrained(load(folder)[0], folder.parent / "adapter")
    assert torch.equal(logits_of_own_rows(loaded, folder), logits)
    ours = MBlipForConditionalGeneration.from_pretrained(folder.parent / "adapter")
    assert torch.equal(logits_of_own_rows(ours, folder), logits)


def test_a_preference_batch_shows_each_image_twice_and_encodes_it_once(trl, folder):
    trainer = train(trl, folder, preferences(), "DPO", ref_model=load(folder)[0])
    batch = trainer.data_collator([dict(row) for row in preferences()])
    assert batch["pixel_values"].shape == (4, 3, 28, 28)
    assert batch["image_indices"].tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    own = MBlipCollator(load(folder)[1], load(folder)[0].config)
    chosen, rejected = own(own_rows()), own([row | {"targets": ["no"]} for row in own_rows()])
    for half, expected in ((slice(4), chosen), (slice(4, 8), rejected)):
        stands = batch["attention_mask"][half].bool()
        assert (
            batch["input_ids"][half][stands].tolist()
            == expected["input_ids"][expected["attention_mask"].bool()].tolist()
        )
        assert torch.equal(batch["completion_mask"][half].sum(dim=1), (expected["labels"] != -100).sum(dim=1))
    assert torch.equal(batch["pixel_values"], chosen["pixel_values"])


@pytest.mark.parametrize("reference", ["copy", "adapter switched off"])
def test_preferences_begin_at_ln_2_and_are_learned(trl, folder, reference):
    changes = {"ref_model": copy.deepcopy(load(folder)[0])}
    if reference == "adapter switched off":
        changes = {"peft_config": LoraConfig(**LORA), "learning_rate": 2e-2}
    trainer = train(trl, folder, preferences(), "DPO", max_steps=20, **changes)
    assert logged(trainer, "loss")[0] == pytest.approx(0.693147, abs=1e-6)
    assert logged(trainer, "loss")[-1] < 0.6
    assert (logged(trainer, "rewards/accuracies")[0], logged(trainer, "rewards/accuracies")[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("kind", ["SFT", "DPO"])
@pytest.mark.parametrize("folder", [("mt5", 128)], indirect=True)
def test_an_encoder_decoder_is_refused_in_one_sentence(trl, folder, kind):
    data, changes = (completions(), {}) if kind == "SFT" else (preferences(), {"ref_model": load(folder)[0]})
    with pytest.raises(ValueError, match=r"encoder-decoder.*TRL's trainers take decoder-only models alone"):
        train(trl, folder, data, kind, **changes)


def test_the_lines_of_the_documentation_train_an_adapter(trl, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("outputs/quickstart_decoder_only/model")
    tiny_model("llama").save_pretrained(folder)
    tiny_processor("llama").save_pretrained(folder)
    Image.new("RGB", (40, 30), "green").save("dog.jpg")
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.split("\n## TRL\n")[1], flags=re.DOTALL)
    assert "max_steps=100" in block
    names: dict = {}
    exec(block.replace("max_steps=100", "max_steps=2, use_cpu=True, bf16=False"), names)
    batch = names["trainer"].data_collator([dict(names["trainer"].train_dataset[0])])
    assert batch["labels"][0, -1] == names["processor"].tokenizer.eos_token_id
    trained = MBlipForConditionalGeneration.from_pretrained("outputs/trl")
    assert not torch.equal(trained.query_tokens.weight, load(folder)[0].query_tokens.weight)
