"""transformers' common model tests on `MBlipForConditionalGeneration`, one class for each kind of language model."""

import copy
import unittest
from typing import Any

import torch
import transformers_source
from not_applicable import MODEL, declare
from tiny import ENCODER_DECODERS, NUM_QUERY_TOKENS, QFORMER, VISION, tiny_batch, tiny_config

from modeling_mblip import MBlipConfig, MBlipForConditionalGeneration

ModelTesterMixin = transformers_source.load("test_modeling_common").ModelTesterMixin


class ModelTester:
    """What the common tests ask of a model: a configuration, inputs, and its numbers of layers and heads."""

    num_hidden_layers = 2
    num_attention_heads = 4
    hidden_size = 32
    batch_size = 3
    seq_length = NUM_QUERY_TOKENS + 6
    is_training = True
    vision_config, qformer_config = VISION, QFORMER

    def __init__(self, parent: unittest.TestCase, family: str) -> None:
        self.parent = parent
        self.family = family
        self.text_config = tiny_config(family).text_config.to_dict()

    def get_config(self) -> MBlipConfig:
        return tiny_config(self.family)

    def prepare_config_and_inputs_for_common(self) -> tuple[MBlipConfig, dict[str, torch.Tensor]]:
        inputs = tiny_batch(self.family, self.batch_size)
        labels = inputs.pop("labels")
        if self.family in ENCODER_DECODERS:
            inputs["decoder_input_ids"] = labels.clamp(min=0)
        return self.get_config(), inputs


class ModelCase(ModelTesterMixin):
    all_model_classes = (MBlipForConditionalGeneration,)
    family: str
    _is_composite = True

    def setUp(self) -> None:
        self.is_encoder_decoder = self.family in ENCODER_DECODERS
        self.model_tester = ModelTester(self, self.family)

    def _prepare_for_class(self, inputs_dict: dict, model_class: type, return_labels: bool = False) -> dict[str, Any]:
        inputs = copy.deepcopy(inputs_dict)
        if return_labels:
            inputs["labels"] = tiny_batch(self.family, self.model_tester.batch_size)["labels"]
        return inputs


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
del ModelTesterMixin, ModelCase, case  # else pytest would collect them as well
