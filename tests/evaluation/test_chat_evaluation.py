"""A language model with a chat template of its own is evaluated with the prompts it is trained on and asked with."""

from types import SimpleNamespace

import pytest
import torch
from chat_models import CHAT_MODELS, chat_processor
from PIL import Image
from table_model import TableProcessor, example

from mblip.data import MBlipCollator
from mblip.evaluation.answering import answer_texts
from mblip.evaluation.model_inputs import encode_prompts

RED, BLUE = (Image.new("RGB", (40, 32), colour) for colour in ("red", "blue"))
SHOWN = {"none": (), "one": (RED,), "two": (RED, BLUE)}


def row_of(asked):
    return {
        "images": list(asked.images),
        "image_id": asked.image_id,
        "prompts": [asked.prompt],
        "targets": ["a red dog"],
        "languages": [asked.language],
        "tasks": ["captioning"],
        "sources": ["drawn"],
        "ids": [asked.id],
    }


@pytest.mark.parametrize("chat_model", CHAT_MODELS.values(), ids=CHAT_MODELS)
def test_the_prompts_of_evaluation_training_and_use_are_equal(chat_model):
    processor = chat_processor(chat_model)
    examples = [example(i, images=images, image_id=name) for i, (name, images) in enumerate(SHOWN.items())]
    config = SimpleNamespace(is_encoder_decoder=False, decoder_start_token_id=None)
    batch = MBlipCollator(processor, config)([row_of(asked) for asked in examples])
    encoded = encode_prompts(
        processor, [asked.prompt for asked in examples], [len(asked.images) for asked in examples]
    )
    is_prompt_BT = (batch["labels"] == -100) & batch["attention_mask"].bool()
    for i, (ids, asked) in enumerate(zip(encoded, examples, strict=True)):
        content = [{"type": "image", "image": image} for image in asked.images]
        messages = [{"role": "user", "content": [*content, {"type": "text", "text": asked.prompt}]}]
        in_use = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)
        assert ids == in_use["input_ids"][0]
        assert batch["input_ids"][i][is_prompt_BT[i]].tolist() == in_use["input_ids"][0]


@pytest.mark.parametrize("chat_model", CHAT_MODELS.values(), ids=CHAT_MODELS)
def test_an_answer_is_its_text_alone(chat_model):
    processor = chat_processor(chat_model)
    ids = processor.tokenizer(chat_model.learned, add_special_tokens=False)["input_ids"]
    assert answer_texts(processor, torch.tensor([ids])) == ["a red dog"]
    without_lead = processor.tokenizer("a red dog", add_special_tokens=False)["input_ids"]
    assert answer_texts(processor, torch.tensor([without_lead])) == ["a red dog"]


def test_an_answer_without_a_template_is_what_was_decoded():
    processor = TableProcessor()
    assert answer_texts(processor, torch.tensor([[processor.text_id(" seven ")]])) == ["seven"]
