"""What a result says of the model's precision."""

import pytest
import torch
from tiny import tiny_model, tiny_text_config
from transformers import BitsAndBytesConfig

from evaluation_mblip.environment import describe_precision
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
