"""transformers' common processor tests on `MBlipProcessor`, with and without a chat template."""

import unittest

import transformers_source
from not_applicable import PROCESSOR, declare
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from processing_mblip import MBlipImageProcessor, MBlipProcessor

ProcessorTesterMixin = transformers_source.load("test_processing_common").ProcessorTesterMixin

TEMPLATE = (
    "{% for message in messages %}{% for part in message.content %}"
    "{{ '<image>' if part.type == 'image' else part.text }}{% endfor %}{{ '' if loop.last else '\\n' }}{% endfor %}"
)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer, which has a token for every text, and ends each with `</s>`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<pad>", "</s>", "<unk>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


class ProcessorTests(ProcessorTesterMixin, unittest.TestCase):
    processor_class = MBlipProcessor

    @classmethod
    def _setup_tokenizer(cls) -> PreTrainedTokenizerFast:
        return byte_tokenizer()

    @classmethod
    def _setup_image_processor(cls) -> MBlipImageProcessor:
        return MBlipImageProcessor(size={"height": 20, "width": 20})

    @staticmethod
    def prepare_processor_dict() -> dict:
        return {"num_query_tokens": 3, "image_token_id": 300}


class ProcessorWithChatTemplateTests(ProcessorTests):
    @staticmethod
    def prepare_processor_dict() -> dict:
        return {"num_query_tokens": 3, "image_token_id": 300, "chat_template": TEMPLATE}


for case in (ProcessorTests, ProcessorWithChatTemplateTests):
    declare(case, PROCESSOR)
del ProcessorTesterMixin, case  # else pytest would collect them as well
