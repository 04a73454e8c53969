"""A tokenizer of a few tokens and processors of two query tokens, to be checked by eye, and rows for them."""

from types import SimpleNamespace
from typing import Any

from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from processing_mblip import MBlipImageProcessor, MBlipProcessor

WORDS = [
    "<pad>",
    "</s>",
    "<unk>",
    "what",
    "is",
    "this",
    "a",
    "red",
    "blue",
    "dog",
    "cat",
    "and",
    "answer",
    "yes",
    "no",
]
PAD, EOS, UNK, WHAT, IS, THIS, A, RED, BLUE, DOG, CAT, AND, ANSWER, YES, NO = range(len(WORDS))
NUM_QUERY_TOKENS = 2
IMAGE = len(WORDS)  # the id of `<image>`: the first the tokenizer does not have
IMAGE_SIZE = 28
# What a collator asks of a model's configuration
ENCODER_DECODER = SimpleNamespace(is_encoder_decoder=True, decoder_start_token_id=PAD)
DECODER_ONLY = SimpleNamespace(is_encoder_decoder=False, decoder_start_token_id=None)


def tiny_tokenizer(*, is_encoder_decoder: bool) -> PreTrainedTokenizerFast:
    """One id a word; an encoder-decoder's ends every text with `</s>`, as T5's does."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if is_encoder_decoder:
        tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", EOS)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        padding_side="right" if is_encoder_decoder else "left",
    )


def tiny_processor(*, is_encoder_decoder: bool) -> MBlipProcessor:
    return MBlipProcessor(
        MBlipImageProcessor(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}),
        tiny_tokenizer(is_encoder_decoder=is_encoder_decoder),
        num_query_tokens=NUM_QUERY_TOKENS,
    )


def row(
    image_id: str = "r",
    *,
    colours: tuple[str, ...] = ("red",),
    prompts: tuple[str, ...] = ("what is this",),
    targets: tuple[str, ...] = ("a red dog",),
    task: str = "captioning",
) -> dict[str, Any]:
    """A row with one image per colour."""
    return {
        "images": [Image.new("RGB", (40, 32), colour) for colour in colours],
        "image_id": image_id,
        "prompts": list(prompts),
        "targets": list(targets),
        "languages": ["en"] * len(prompts),
        "tasks": [task] * len(prompts),
        "sources": ["drawn"] * len(prompts),
        "ids": [f"{image_id}{i}" for i in range(len(prompts))],
    }
