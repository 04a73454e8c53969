"""transformers' pipeline with our processor and model: each prompt sees its own picture, whatever the batch size."""

import pytest
import torch
from PIL import Image
from tiny import tiny_model, tiny_processor
from transformers import pipeline

PICTURES = [Image.effect_noise((40, 30), 90).convert("RGB"), Image.linear_gradient("L").convert("RGB")]
PICTURES += [Image.new("RGB", (9, 9), "white"), Image.new("RGB", (9, 9), "red")]
PROMPTS = ["a red circle", "Caption English", "the small blue star in a ring", "Question: what colour ?"]
GREEDY = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}


@pytest.fixture(params=["mt5", "bloom", "llama"])
def pipe(request):
    family = request.param
    return pipeline("image-text-to-text", model=tiny_model(family), processor=tiny_processor(family))


def conversation(picture: Image.Image, prompt: str) -> list[dict]:
    return [{"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": prompt}]}]


def record(monkeypatch, model) -> list[dict]:
    """What comes to the model's `generate`, call by call."""
    calls, generate = [], model.generate
    monkeypatch.setattr(model, "generate", lambda **kwargs: calls.append(kwargs) or generate(**kwargs))
    return calls


def texts(outputs: list) -> list[str]:
    flat = [output[0] if isinstance(output, list) else output for output in outputs]
    return [output["generated_text"] for output in flat]


def run(pipe, batch_size: int) -> list[str]:
    """Through a generator: the pipeline takes a list of dicts for a conversation."""
    inputs = ({"images": picture, "text": prompt} for picture, prompt in zip(PICTURES, PROMPTS, strict=True))
    return texts(list(pipe(inputs, batch_size=batch_size, generate_kwargs=GREEDY, return_full_text=False)))


def test_a_batch_shows_each_prompt_its_own_picture(pipe, monkeypatch):
    calls = record(monkeypatch, pipe.model)
    want = run(pipe, batch_size=1)
    assert run(pipe, batch_size=2) == want
    single, batched = calls[:4], calls[4:]
    assert len(batched) == 2
    for i, call in enumerate(single):
        row = {key: value[i % 2] for key, value in batched[i // 2].items() if torch.is_tensor(value)}
        assert torch.equal(row["pixel_values"], call["pixel_values"][0])
        assert torch.equal(row["input_ids"][row["attention_mask"].bool()], call["input_ids"][0])
        assert "image_indices" not in call


def test_conversations_show_each_its_own_picture(pipe):
    chats = [conversation(picture, prompt) for picture, prompt in zip(PICTURES, PROMPTS, strict=True)]
    batched = pipe(text=chats, batch_size=2, generate_kwargs=GREEDY, return_full_text=False)
    assert texts(batched) == run(pipe, batch_size=1)
