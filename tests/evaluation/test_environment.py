"""What a result says of the model: its name, and its precision."""

import pytest
import torch
from tiny import tiny_model, tiny_text_config
from transformers import BitsAndBytesConfig

from mblip.evaluation.environment import ModelFacts, describe_model, describe_precision
from mblip.training.trainable import set_trainable
from modeling_mblip import MBlipForConditionalGeneration


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_that_is_not_quantised_is_described_by_its_dtype(dtype):
    model = torch.nn.Module.to(tiny_model("mt5"), dtype)
    assert describe_precision(model) == str(dtype).removeprefix("torch.")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (BitsAndBytesConfig(load_in_8bit=True), "bfloat16, language model in 8 bit"),
        (
            BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
            "bfloat16, language model in 4 bit (nf4)",
        ),
    ],
)
def test_a_quantised_model_is_described_by_its_bits_after_loading_and_after_saving(config, expected, tmp_path):
    tiny_model("llama", text_config=tiny_text_config("llama", hidden_size=64)).save_pretrained(tmp_path / "whole")
    model = MBlipForConditionalGeneration.from_pretrained(
        tmp_path / "whole", quantization_config=config, dtype=torch.bfloat16
    )
    assert describe_precision(model) == expected
    model.save_pretrained(tmp_path / "quantised")
    again = MBlipForConditionalGeneration.from_pretrained(tmp_path / "quantised")
    assert describe_precision(again) == expected


def with_adapter(base):
    """A model on which an adapter lies; both say that they are `base`, as PEFT has it."""
    model = set_trainable(tiny_model("mt5"), "re_alignment")
    model.config.name_or_path = model.peft_config["default"].base_model_name_or_path = base
    model.config._commit_hash = "c0ffee"
    return model


def test_an_adapter_is_never_called_by_the_name_of_its_base():
    model = with_adapter("me/base")
    assert describe_model(model) == ModelFacts("", None, "me/base", "c0ffee", "float32")
    model.config.name_or_path = "me/adapter"
    assert describe_model(model) == ModelFacts("me/adapter", None, "me/base", "c0ffee", "float32")


def test_the_commit_of_a_merged_adapter_is_that_of_its_base():
    model = tiny_model("mt5")
    model.config.name_or_path, model.config._commit_hash = "me/adapter", "c0ffee"
    assert describe_model(model, "me/base") == ModelFacts("me/adapter", None, "me/base", "c0ffee", "float32")
    assert describe_model(model) == ModelFacts("me/adapter", "c0ffee", None, None, "float32")
