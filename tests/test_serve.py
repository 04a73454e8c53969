"""`mblip serve`, asked by OpenAI's own client: the same tokens as `generate`, and no request that stops the server."""

import base64
import functools
import io
from contextlib import contextmanager

import openai
import pytest
from PIL import Image
from starlette.testclient import TestClient

from mblip.serve import ChatHandler, build_app
from tests.tiny import NUM_QUERY_TOKENS, tiny_model, tiny_processor

QUESTION = "what colour is the circle"
NAME = "models/tiny"
SEEDS = {"mt5": 14, "llama": 19}  # their answers depend on the images, and no token ends them early


def uri(encoded):
    return f"data:image/png;base64,{base64.b64encode(encoded).decode()}"


def png(colour, size=(40, 30)):
    written = io.BytesIO()
    Image.new("RGB", size, colour).save(written, "PNG")
    return written.getvalue()


def text(words):
    return {"type": "text", "text": words}


def image(url):
    return {"type": "image_url", "image_url": {"url": url}}


RED, BLUE = png("red"), png("blue")


class Served:
    """A tiny model behind a server, in this process."""

    def __init__(self, family, **settings):
        self.model, self.processor = tiny_model(family, SEEDS[family]), tiny_processor(family)
        self.handler = ChatHandler(self.model, self.processor, NAME, **settings)
        self.http = TestClient(build_app(self.handler), raise_server_exceptions=False)
        self.client = openai.OpenAI(
            base_url="http://testserver/v1", api_key="none", http_client=self.http, max_retries=0
        )

    def ask(self, *parts, **settings):
        """What it answers to one message, with 6 new tokens."""
        messages = [{"role": "user", "content": list(parts)}]
        return self.create(messages=messages, **settings)

    def create(self, **settings):
        return self.client.chat.completions.create(**({"model": NAME, "max_tokens": 6} | settings))

    def generate(self, images, prompt, **settings):
        """The same without a server: the ids of the prompt, the new ids and their text."""
        inputs = self.processor(images=images, text=prompt, return_tensors="pt")
        new = self.model.generate(**inputs, **({"max_new_tokens": 6} | settings))[0]
        new = new[1:] if self.model.config.is_encoder_decoder else new
        return inputs["input_ids"][0], new, self.processor.decode(new, skip_special_tokens=True)


@pytest.fixture(scope="module")
def served():
    return functools.cache(Served)


@contextmanager
def encoded_images(model):
    """The number of images that the vision tower encodes meanwhile."""
    counts = []
    hook = model.vision_model.register_forward_hook(
        lambda _, args, kwargs, __: counts.append(len(args[0])), with_kwargs=True
    )
    yield counts
    hook.remove()


def pieces(stream):
    chunks = list(stream)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks), chunks[-1]


@pytest.mark.parametrize("family", ["mt5", "llama"])
@pytest.mark.parametrize("images", [[], [RED], [RED, BLUE]], ids=len)
def test_an_answer_has_the_greedy_tokens_of_generate(served, family, images):
    each = served(family)
    prompt_ids, new_ids, words = each.generate(images, QUESTION)
    answer = each.ask(*(image(uri(encoded)) for encoded in images), text(QUESTION), temperature=0)
    assert answer.choices[0].message.content == words
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.prompt_tokens == len(prompt_ids) == len(QUESTION.split()) + NUM_QUERY_TOKENS * len(images)
    assert answer.usage.completion_tokens == len(new_ids) == 6
    streamed, last = pieces(
        each.ask(*(image(uri(encoded)) for encoded in images), text(QUESTION), temperature=0, stream=True)
    )
    assert streamed == words
    assert last.choices[0].finish_reason == "length"
    assert last.usage == answer.usage


@pytest.mark.parametrize("family", ["mt5", "llama"])
def test_the_answers_of_these_models_depend_on_the_images(served, family):
    assert len({served(family).generate(images, QUESTION)[2] for images in ([], [RED], [BLUE])}) == 3


@pytest.mark.parametrize("family", ["mt5", "llama"])
def test_images_stay_in_their_turns(served, family):
    each = served(family)
    turns = [
        {"role": "user", "content": [image(uri(RED)), text("what is this")]},
        {"role": "assistant", "content": "a circle"},
        {"role": "user", "content": [text("a"), image(uri(BLUE)), text("star")]},
    ]
    prompt = "<image>what is this\na circle\na<image>star"
    assert each.create(messages=turns).choices[0].message.content == each.generate([RED, BLUE], prompt)[2]


def test_an_image_that_comes_twice_in_a_request_is_encoded_once(served):
    parts = [image(uri(RED)), text("German"), image(uri(RED)), text("English"), image(uri(BLUE))]
    with encoded_images(served("mt5").model) as counts:
        answer = served("mt5").ask(*parts)
    assert counts == [2]
    assert answer.usage.prompt_tokens == 3 * NUM_QUERY_TOKENS + 2
