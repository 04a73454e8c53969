"""transformers' pipeline with our processor and model: each prompt sees its own picture, whatever the batch size."""

import pytest
from PIL import Image
from tiny import tiny_model, tiny_processor
from transformers import pipeline

PICTURES = [Image.effect_noise((40, 30), 90).convert("RGB"), Image.linear_gradient("L").convert("RGB")]
PICTURES += [PICTURES[0].rotate(180), Image.new("RGB", (9, 9), "red")]
PROMPTS = ["a red circle", "Caption English", "the small blue star in a ring", "Question: what colour ?"]
GREEDY = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}


@pytest.fixture(params=["mt5", "bloom", "llama"])
def pipe(request):
    family = request.param
    return pipeline("image-text-to-text", model=tiny_model(family), processor=tiny_processor(family))


def texts(outputs: list) -> list[str]:
    flat = [output[0] if isinstance(output, list) else output for output in outputs]
    return [output["generated_text"] for output in flat]


def run(pipe, pictures: list[Image.Image], batch_size: int) -> list[str]:
    """Through a generator: the pipeline takes a list of dicts for a conversation."""
    inputs = ({"images": picture, "text": prompt} for picture, prompt in zip(pictures, PROMPTS, strict=True))
    return texts(list(pipe(inputs, batch_size=batch_size, generate_kwargs=GREEDY, return_full_text=False)))


def test_a_batch_shows_each_prompt_its_own_picture(pipe):
    single = run(pipe, PICTURES, batch_size=1)
    assert len(set(single)) > 1
    assert run(pipe, PICTURES, batch_size=2) == single
    assert run(pipe, PICTURES, batch_size=3) == single
    assert run(pipe, PICTURES[::-1], batch_size=2) != single


def test_chat_messages_give_what_the_plain_call_gives(pipe):
    plain = pipe(PICTURES[0], text=PROMPTS[0], generate_kwargs=GREEDY, return_full_text=False)
    content = [{"type": "image", "image": PICTURES[0]}, {"type": "text", "text": PROMPTS[0]}]
    chat = pipe(text=[{"role": "user", "content": content}], generate_kwargs=GREEDY, return_full_text=False)
    assert texts(chat) == texts(plain)


def test_a_batch_of_conversations_shows_each_its_own_picture(pipe):
    chats = [
        [{"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": prompt}]}]
        for picture, prompt in zip(PICTURES, PROMPTS, strict=True)
    ]
    batched = pipe(text=chats, batch_size=2, generate_kwargs=GREEDY, return_full_text=False)
    assert texts(batched) == run(pipe, PICTURES, batch_size=1)
