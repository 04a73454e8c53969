"""transformers' common model tests on `MBlipForConditionalGeneration`, one class for each kind of language model."""

import copy
import unittest
from typing import Any

import torch
import transformers_source
from not_applicable import BLOOM, DECODER_ONLY, MODEL, declare
from tiny import ENCODER_DECODERS, NUM_QUERY_TOKENS, tiny_batch, tiny_config

from modeling_mblip import MBlipConfig, MBlipForConditionalGeneration

IMAGE_TOKEN_ID = (
    4  # a low one, since the tests add tokens to the vocabulary and take some away; no prompt has it as a token
)

ModelTesterMixin = transformers_source.load("test_modeling_common").ModelTesterMixin


class ModelTester:
    """What the common tests ask of a model: a configuration, inputs, and its numbers of layers and heads."""

    num_hidden_layers = 2
    num_attention_heads = 4
    hidden_size = 32
    batch_size = 7  # some tests take that many rows, and would make up more themselves, without images
    seq_length = NUM_QUERY_TOKENS + 6
    is_training = True

    def __init__(self, parent: unittest.TestCase, family: str, has_images: bool = True) -> None:
        self.parent = parent
        self.family = family
        self.has_images = has_images

    def get_config(self) -> MBlipConfig:
        return tiny_config(self.family, image_token_id=IMAGE_TOKEN_ID)

    def prepare_config_and_inputs_for_common(self) -> tuple[MBlipConfig, dict[str, torch.Tensor]]:
        inputs = tiny_batch(self.family, self.batch_size, image_token_id=IMAGE_TOKEN_ID)
        del inputs["labels"]
        if not self.has_images:
            del inputs["pixel_values"]
            inputs["input_ids"][:, :NUM_QUERY_TOKENS] = 5
        if self.family in ENCODER_DECODERS:
            inputs["decoder_input_ids"] = inputs["input_ids"].flip(1).clamp(max=99)
        return self.get_config(), inputs


class ModelCase(ModelTesterMixin):
    all_model_classes = (MBlipForConditionalGeneration,)
    additional_model_inputs = ("pixel_values",)
    family: str
    _is_composite = True

    def setUp(self) -> None:
        self.is_encoder_decoder = self.family in ENCODER_DECODERS
        self.model_tester = ModelTester(self, self.family)

    def _prepare_for_class(self, inputs_dict: dict, model_class: type, return_labels: bool = False) -> dict[str, Any]:
        inputs = copy.deepcopy(inputs_dict)
        if return_labels:
            inputs["labels"] = torch.ones_like(inputs["input_ids"])
        return inputs

    def test_attention_outputs(self) -> None:
        """On prompts without images: the test counts the outputs, and `image_hidden_states` would be one more."""
        self.model_tester = ModelTester(self, self.family, has_images=False)
        super().test_attention_outputs()

    def test_inputs_embeds(self) -> None:
        """On prompts without images: embeddings alone do not say where images stand, `input_ids` does."""
        self.model_tester = ModelTester(self, self.family, has_images=False)
        super().test_inputs_embeds()


class MT5Test(ModelCase, unittest.TestCase):
    family = "mt5"


class T5Test(ModelCase, unittest.TestCase):
    family = "t5"


class BloomTest(ModelCase, unittest.TestCase):
    family = "bloom"


class LlamaTest(ModelCase, unittest.TestCase):
    family = "llama"


class Qwen3Test(ModelCase, unittest.TestCase):
    family = "qwen3"


class Gemma2Test(ModelCase, unittest.TestCase):
    family = "gemma2"


for case in (MT5Test, T5Test, BloomTest, LlamaTest, Qwen3Test, Gemma2Test):
    declare(case, MODEL)
declare(BloomTest, BLOOM)
for case in (BloomTest, LlamaTest, Qwen3Test, Gemma2Test):
    declare(case, {name: reason for name, reason in DECODER_ONLY.items() if hasattr(case, name)})
del ModelTesterMixin, ModelCase, case  # else pytest would collect them as well
