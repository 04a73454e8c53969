"""transformers' pipeline with our processor and model: each prompt sees its own image, whatever the batch size."""

import functools
import threading
from http.server import HTTPServer, SimpleHTTPRequestHandler

import pytest
import torch
from PIL import Image
from tiny import IMAGE_TOKEN_ID, NUM_QUERY_TOKENS, tiny_model, tiny_processor
from transformers import pipeline

IMAGES = [Image.effect_noise((40, 30), 90).convert("RGB"), Image.linear_gradient("L").convert("RGB")]
IMAGES += [Image.new("RGB", (9, 9), "white"), Image.new("RGB", (9, 9), "red")]
PROMPTS = ["a red circle", "Caption English", "the small blue star in a ring", "Question: what colour ?"]
GREEDY = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}


@pytest.fixture(params=["mt5", "bloom", "llama"])
def pipe(request):
    family = request.param
    return pipeline("image-text-to-text", model=tiny_model(family), processor=tiny_processor(family))


def conversation(image: Image.Image, prompt: str) -> list[dict]:
    return [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": prompt}]}]


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
    inputs = ({"images": image, "text": prompt} for image, prompt in zip(IMAGES, PROMPTS, strict=True))
    return texts(list(pipe(inputs, batch_size=batch_size, generate_kwargs=GREEDY, return_full_text=False)))


def test_a_batch_shows_each_prompt_its_own_image(pipe, monkeypatch):
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


def test_conversations_show_each_its_own_image(pipe):
    chats = [conversation(image, prompt) for image, prompt in zip(IMAGES, PROMPTS, strict=True)]
    batched = pipe(text=chats, batch_size=2, generate_kwargs=GREEDY, return_full_text=False)
    assert texts(batched) == run(pipe, batch_size=1)


def shown_to(calls: list[dict]) -> list[list[torch.Tensor]]:
    """The images of each prompt, in reading order, from the calls to `generate`."""
    prompts = []
    for call in calls:
        indices = call.get("image_indices", torch.arange(len(call["pixel_values"])))
        slots = iter(call["pixel_values"][indices])
        for row in call["input_ids"]:
            num_images = int((row == IMAGE_TOKEN_ID).sum()) // NUM_QUERY_TOKENS
            prompts.append([next(slots) for _ in range(num_images)])
        assert next(slots, None) is None
    return prompts


def assert_shown(calls: list[dict], expected: list[list[Image.Image]], processor) -> None:
    want = [
        [processor(images=image, text="a", return_tensors="pt")["pixel_values"][0] for image in images]
        for images in expected
    ]
    got = shown_to(calls)
    assert [len(images) for images in got] == [len(images) for images in want]
    for ours, theirs in zip(got, want, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_text_and_one_image_are_one_question(pipe, monkeypatch):
    calls = record(monkeypatch, pipe.model)
    (answer,) = pipe(images=IMAGES[0], text="a red circle", max_new_tokens=3, return_full_text=False)
    assert answer["input_text"] == "a red circle"
    assert answer["generated_text"]
    assert_shown(calls, [IMAGES[:1]], pipe.processor)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_prompts_of_several_images_see_their_own_in_order(pipe, batch_size, monkeypatch):
    calls = record(monkeypatch, pipe.model)
    two_each = [IMAGES[:2], IMAGES[2:]]
    inputs = ({"images": own, "text": prompt} for own, prompt in zip(two_each, PROMPTS[:2], strict=True))
    list(pipe(inputs, batch_size=batch_size, generate_kwargs=GREEDY))
    assert len(calls) == 2 // batch_size
    assert_shown(calls, two_each, pipe.processor)
    del calls[:]
    pipe(images=two_each, text=PROMPTS[:2], generate_kwargs=GREEDY)
    assert_shown(calls, two_each, pipe.processor)


def conversation_about(images: list[Image.Image], prompt: str) -> list[dict]:
    content = [{"type": "image", "image": image} for image in images]
    return [{"role": "user", "content": [*content, {"type": "text", "text": prompt}]}]


@pytest.mark.parametrize("batch_size", [1, 2])
def test_conversations_may_differ_in_their_number_of_images(pipe, batch_size, monkeypatch):
    calls = record(monkeypatch, pipe.model)
    images = [IMAGES[:2], IMAGES[2:3], IMAGES[3:], IMAGES[:3]]
    chats = [conversation_about(own, prompt) for own, prompt in zip(images, PROMPTS, strict=True)]
    pipe(text=chats, batch_size=batch_size, generate_kwargs=GREEDY)
    assert len(calls) == 4 // batch_size
    assert_shown(calls, images, pipe.processor)


def test_one_image_in_several_conversations_is_shown_to_each(pipe, monkeypatch):
    calls = record(monkeypatch, pipe.model)
    chats = [conversation_about(IMAGES[:1], prompt) for prompt in PROMPTS]
    pipe(text=chats, batch_size=2, generate_kwargs=GREEDY)
    assert_shown(calls, [IMAGES[:1]] * 4, pipe.processor)


def test_an_answer_goes_on_with_the_conversation(pipe):
    (answer,) = pipe(text=conversation(IMAGES[0], "a red circle"), generate_kwargs=GREEDY)
    asked, said = answer["generated_text"]
    assert asked["role"] == "user"
    assert said["role"] == "assistant"
    assert (
        said["content"]
        == pipe(text=conversation(IMAGES[0], "a red circle"), generate_kwargs=GREEDY, return_full_text=False)[0][
            "generated_text"
        ]
    )


@pytest.fixture
def address(tmp_path):
    """An address of this machine that serves the folder `tmp_path`."""
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.mark.parametrize("family", ["mt5", "llama"])
def test_images_in_messages_come_as_objects_paths_and_addresses(family, address, tmp_path):
    processor = tiny_processor(family)
    IMAGES[0].save(tmp_path / "a.png")
    positions = [
        {"type": "image", "image": IMAGES[0]},
        {"type": "image", "image": str(tmp_path / "a.png")},
        {"type": "image", "path": str(tmp_path / "a.png")},
        {"type": "image", "url": f"{address}/a.png"},
        {"type": "image", "image": f"{address}/a.png"},
    ]
    plain = processor(images=IMAGES[0], text="a red circle", return_tensors="pt")
    for position in positions:
        messages = [{"role": "user", "content": [position, {"type": "text", "text": "a red circle"}]}]
        inputs = processor.apply_chat_template(
            messages,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"allow_private_urls": True},
        )
        assert list(inputs) == list(plain), position
        assert all(torch.equal(inputs[name], plain[name]) for name in plain), position
