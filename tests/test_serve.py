"""`mblip serve`, asked by OpenAI's own client: the same tokens as `generate`, and no request that stops the server."""

import asyncio
import base64
import functools
import io
import json
import re
import socket
import struct
import threading
import time
import zlib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import openai
import pytest
import torch
import uvicorn
from PIL import Image
from starlette.testclient import TestClient
from transformers import AutoTokenizer

from mblip import serve
from mblip.serve import ChatHandler, Streamer, build_app
from tests.tiny import NUM_QUERY_TOKENS, tiny_model, tiny_processor

ROOT = Path(__file__).parents[1]
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
    assert answer.choices[0].message.content == words != each.generate([BLUE], QUESTION)[2]
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


def test_control_tokens_and_image_marks_in_a_text_are_text(served, monkeypatch):
    model, processor = served("mt5").model, served("mt5").processor
    asked, generate = [], model.generate
    monkeypatch.setattr(model, "generate", lambda **given: asked.append(given["input_ids"][0]) or generate(**given))
    served("mt5").ask(image(uri(RED)), text("a <image> <eos> star"))
    is_image = asked[0] == processor.image_token_id
    assert is_image.tolist()[:NUM_QUERY_TOKENS] == [True] * NUM_QUERY_TOKENS
    assert is_image.sum() == NUM_QUERY_TOKENS
    assert processor.tokenizer.eos_token_id not in asked[0]


@pytest.mark.parametrize(
    ("stop", "shown"),
    [
        ("caption", "w75 w61 w112 "),
        (["no such", "caption"], "w75 w61 w112 "),
        (["w112 captive", "caption ein", "ption"], "w75 w61 w112 ca"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_ends_before_a_stop_string(served, stop, shown, stream):
    assert served("llama").generate([RED], QUESTION)[2] == "w75 w61 w112 caption ein w56"
    answer = served("llama").ask(image(uri(RED)), text(QUESTION), stop=stop, stream=stream)
    words, last = pieces(answer) if stream else (answer.choices[0].message.content, answer)
    assert words == shown
    assert last.choices[0].finish_reason == "stop"
    assert last.usage.completion_tokens == 4


def test_the_beginning_of_a_stop_string_is_shown_when_the_answer_ends_there(served):
    answer = served("llama").ask(image(uri(RED)), text(QUESTION), stop="w56 and more", stream=True)
    assert pieces(answer)[0] == "w75 w61 w112 caption ein w56"


@pytest.mark.parametrize("family", ["mt5", "llama"])
def test_the_end_of_text_ends_an_answer_without_being_shown(served, family, monkeypatch):
    each = served(family)
    first = each.generate([RED], QUESTION)[1][0]
    monkeypatch.setattr(each.handler.defaults, "eos_token_id", int(first))
    answer = each.ask(image(uri(RED)), text(QUESTION))
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 1


def test_a_seed_makes_samples_repeatable_and_temperature_0_is_greedy(served):
    def sampled(**settings):
        answer = served("llama").ask(image(uri(RED)), text(QUESTION), max_tokens=8, **settings)
        return answer.choices[0].message.content

    assert sampled(temperature=2, seed=1) == sampled(temperature=2, seed=1)
    assert sampled(temperature=2, seed=1) != sampled(temperature=2, seed=2)
    assert sampled(temperature=2) != sampled(temperature=2)
    greedy = served("llama").generate([RED], QUESTION, max_new_tokens=8)[2]
    assert [sampled(temperature=0), sampled(temperature=1e-30), sampled(top_p=0.5), sampled()] == [greedy] * 4


def test_beams_of_a_generation_config_do_not_keep_an_answer_from_being_streamed():
    model, processor = tiny_model("mt5", SEEDS["mt5"]), tiny_processor("mt5")
    model.generation_config.update(num_beams=3, num_return_sequences=2, return_dict_in_generate=True, max_length=9)
    client = TestClient(build_app(ChatHandler(model, processor, NAME)))
    body = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 12, "stream": True}
    assert '"completion_tokens":12,' in client.post("/v1/chat/completions", json=body).text
    assert model.generation_config.num_beams == 3


@pytest.mark.parametrize("name", [NAME, "tiny", None])
def test_the_model_is_asked_by_any_of_its_names(served, name):
    answer = served("mt5").create(model=name, messages=[{"role": "user", "content": "a"}])
    assert answer.model == (name or NAME)
    assert [model.id for model in served("mt5").client.models.list()] == [NAME, "tiny"]


NULL = {"tools", "tool_choice", "functions", "function_call", "logit_bias", "stop", "max_tokens", "stream", "audio"}
WITHOUT_EFFECT = {
    "tools": [],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "functions": [],
    "logit_bias": {},
    "stop": [],
}
WITHOUT_EFFECT |= {
    "response_format": {"type": "text"},
    "modalities": ["text"],
    "n": 1,
    "logprobs": False,
    "top_logprobs": 0,
}
WITHOUT_EFFECT |= {
    "presence_penalty": 0.0,
    "frequency_penalty": 0,
    "service_tier": "auto",
    "reasoning_effort": "medium",
}
WITHOUT_EFFECT |= {
    "verbosity": "medium",
    "metadata": {"a": "b"},
    "store": True,
    "stream_options": {"include_usage": True},
}
WITHOUT_EFFECT |= {"user": "a", "safety_identifier": "a", "prompt_cache_key": "a"}


@pytest.mark.parametrize("fields", [dict.fromkeys(NULL), WITHOUT_EFFECT], ids=["null", "values"])
def test_fields_that_clients_send_by_default_change_no_answer(served, fields):
    body = asked([image(uri(RED)), text(QUESTION)], max_completion_tokens=6, temperature=0) | fields
    answer = served("mt5").http.post("/v1/chat/completions", json=body).json()
    assert answer["choices"][0]["message"]["content"] == served("mt5").generate([RED], QUESTION)[2]


@pytest.mark.parametrize("part", [{"type": "image_url", "image_url": uri(RED)}, image(f" DATA{uri(RED)[4:]}")])
def test_an_image_may_be_written_as_some_clients_write_it(served, part):
    answer = served("mt5").ask(part, text(QUESTION))
    assert answer.choices[0].message.content == served("mt5").generate([RED], QUESTION)[2]


def test_another_model_is_not_found(served):
    with pytest.raises(openai.NotFoundError, match=r"There is no model 'gpt-4o' here, but 'models/tiny'\."):
        served("mt5").create(model="gpt-4o", messages=[{"role": "user", "content": "a"}])


def claiming(side):
    """A PNG of a few bytes that claims to be a square image."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(2000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def asked(content="a", **settings):
    return {"messages": [{"role": "user", "content": content}]} | settings


WHOLE = uri(RED)
BROKEN = {
    "no bytes": (asked([image("data:image/png;base64,")]), "image 0 .*not an image: nothing, 0 bytes"),
    "an empty URL": (asked([image("")]), "image 0 is '', but files and, without --allow_urls, URLs are not read"),
    "cut base64": (asked([image(WHOLE[:60])]), "image 0 .* cannot be read as an image"),
    "no base64": (asked([image("data:image/png;base64,!!!!")]), "the data URI's text is not base64"),
    "a data URI without a comma": (asked([image("data:image/png")]), "a data URI without a comma"),
    "text as an image": (asked([image(uri(b"hello"))]), "not an image: 5 bytes of text"),
    "one pixel": (asked([image(uri(png("red", (1, 1))))]), "image 0 is a single pixel, which shows nothing"),
    "a decompression bomb": (asked([image(uri(claiming(30_000)))]), r"too large: Image size \(900000000 pixels\)"),
    "100 megapixels": (asked([image(uri(claiming(10_000)))]), "too large: 10000 x 10000 pixels"),
    "a bad image behind a good one": (asked([image(WHOLE), image(WHOLE[:60])]), "image 1 .* cannot be read"),
    "too many images": (asked([image(WHOLE)] * 600), "There are too many images"),
    "a path": (asked([image("/etc/passwd")]), "image 0 is '/etc/passwd', but files and"),
    "a file URL": (asked([image("file:///etc/passwd")]), "image 0 is 'file:///etc/passwd', but files and"),
    "an URL": (asked([image("https://example.com/a.png")]), "without --allow_urls, URLs are not read"),
    "an image as processors take it": (asked([{"type": "image", "url": "/etc/passwd"}]), "Found the part"),
    "another kind of part": (asked([{"type": "input_audio", "input_audio": {}}]), "Found the part .* expected a text"),
    "an image without URL": (asked([{"type": "image_url"}]), "Found the part"),
    "an image of no text": (asked([{"type": "image_url", "image_url": {"url": 5}}]), "Found the part"),
    "a part that is a text": (asked(["a"]), "`messages.0.content"),
    "a text that is none": (asked([{"type": "text", "text": 5}]), "Part 0 of message 0 is"),
    "a text that is missing": (asked([{"type": "text"}]), "Part 0 of message 0 is"),
    "half a character": (asked("\ud800"), "half a character"),
    "half a character in a part": (asked([text("\ud800")]), "half a character"),
    "content of null": (asked(None), "`messages.0.content"),
    "no content": ({"messages": [{"role": "user"}]}, "`messages.0.content"),
    "no role": ({"messages": [{"content": "a"}]}, "`messages.0.role`: Field required"),
    "an unknown role": ({"messages": [{"role": "tool", "content": "a"}]}, "`messages.0.role`: Input should be"),
    "no messages": ({"messages": []}, "`messages`: Field required"),
    "no body": ({}, "`messages`: Field required"),
    "messages of text": ({"messages": "hello"}, "`messages`: Input should be a valid list, found 'hello'"),
    "a list": ([], "`the body`: Input should be a valid dictionary"),
    "an unknown field": (asked(chat_template="{{ 1 }}"), "`chat_template`: Extra inputs are not permitted"),
    "two answers": (asked(n=2), "`n`: Extra inputs are not permitted, found 2"),
    "JSON": (asked(response_format={"type": "json_object"}), "`response_format`: Extra inputs"),
    "tools": (asked(tools=[{"type": "function"}]), "`tools`: Extra inputs"),
    "a settings file": (asked(generation_config="{}"), "`generation_config`: Extra inputs"),
    "no new tokens": (asked(max_tokens=0), "`max_tokens`: Input should be greater than 0"),
    "tokens of text": (asked(max_tokens="many"), "`max_tokens`: Input should be a valid integer"),
    "too many new tokens": (
        asked(max_tokens=3000),
        "prompt of 1 tokens, images included, and max_tokens 3000, but ex",
    ),
    "a long prompt": (
        asked("a " * 2049),
        "prompt of 2049 tokens, images included, and max_tokens 1, but expected 2048",
    ),
    "a very long prompt": (asked("a" * 300_000), "Found 300,000 characters, more than 2048 tokens"),
    "a negative temperature": (asked(temperature=-1), "`temperature`: Input should be greater than or equal to 0"),
    "a temperature that is no number": (asked(temperature=float("nan")), "`temperature`"),
    "top_p of 0": (asked(top_p=0), "`top_p`: Input should be greater than 0"),
    "an empty stop string": (asked(stop=["a", ""]), "`stop"),
    "a seed that is too large": (asked(seed=2**64), "`seed`"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_request_is_refused(served, name):
    body, message = BROKEN[name]
    http = served("mt5").http
    found = http.post("/v1/chat/completions", content=json.dumps(body))
    error = found.json()["error"]
    assert (found.status_code, error["type"]) == (400, "invalid_request_error"), error
    assert re.search(message, error["message"]), error["message"]
    assert len(error["message"]) < 400


def test_the_images_of_a_request_have_a_limit_together(served, monkeypatch):
    monkeypatch.setattr(serve, "MAX_PIXELS", 2 * 40 * 30)
    served("mt5").ask(image(uri(RED)), image(uri(BLUE)), image(uri(RED)))
    with pytest.raises(openai.BadRequestError, match=r"too many images or, with over 2,400 pixels in all, too large"):
        served("mt5").ask(image(uri(RED)), image(uri(BLUE)), image(uri(png("green", (1, 2)))))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"{'a': 1}", b"\xff\xfe", b"[" * 200_000, b'{"messages": ' + b"1" * 5000 + b"}"]
)
def test_what_is_not_json_is_refused(served, content):
    found = served("mt5").http.post("/v1/chat/completions", content=content)
    assert found.status_code == 400
    assert found.json()["error"]["message"].startswith("The request is not JSON: ")


def test_a_request_that_is_too_large_is_refused_before_it_is_whole(served, monkeypatch):
    monkeypatch.setattr(serve, "MAX_BODY_BYTES", 1000)
    read = []

    def content():
        for number in range(5):
            read.append(number)
            yield b" " * 600

    found = served("mt5").http.post("/v1/chat/completions", content=content())
    assert found.status_code == 413
    assert found.json()["error"]["message"] == "The request has more than 1,000 bytes. Shrink its images."


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/responses", "/load_model", "/openapi.json", "/docs"])
def test_there_is_nothing_else(served, path):
    found = served("mt5").http.post(path, json={})
    assert found.status_code == 404
    assert found.json()["error"]["message"] == f"Found POST {path}, expected POST /v1/chat/completions."


def test_a_load_balancer_asks_for_health(served):
    assert served("mt5").http.get("/health").status_code == 200


def test_a_decoder_takes_prompt_and_answer_together():
    each = Served("llama", max_tokens=20)
    assert each.create(messages=[{"role": "user", "content": "a " * 14}]).usage.total_tokens == 20
    with pytest.raises(
        openai.BadRequestError, match=r"prompt of 15 tokens, images included, and max_tokens 6, but expected 20"
    ):
        each.create(messages=[{"role": "user", "content": "a " * 15}])
    answer = each.create(messages=[{"role": "user", "content": "a " * 15}], max_tokens=None)
    assert answer.usage.completion_tokens == 5
    assert Served("llama").handler.max_tokens == 128  # its positions


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_of_the_model_is_told_and_the_next_request_is_answered(served, stream, monkeypatch):
    def fail(**_):
        raise RuntimeError('out of "memory"\n')

    with monkeypatch.context() as patched:
        patched.setattr(served("mt5").model, "generate", fail)
        with pytest.raises(openai.APIError) as found:
            pieces(served("mt5").ask(text("a"), stream=True)) if stream else served("mt5").ask(text("a"))
    assert 'RuntimeError: out of "memory"' in str(found.value.body)
    assert served("mt5").ask(text("a")).choices[0].finish_reason == "length"


class Website(BaseHTTPRequestHandler):
    """A red image, and /to?URL, which redirects there."""

    def do_GET(self):
        self.server.paths.append(self.path)
        _, is_redirect, target = self.path.partition("/to?")
        self.send_response(302 if is_redirect else 200)
        if is_redirect:
            self.send_header("Location", target)
        self.end_headers()
        self.wfile.write(b"" if is_redirect else RED)

    def log_message(self, *_):
        pass


@pytest.fixture
def website():
    with ThreadingHTTPServer(("127.0.0.1", 0), Website) as server:
        server.paths = []
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "169.254.169.254", "10.0.0.1"]
)
def test_private_addresses_are_refused_where_urls_are_allowed(served, website, host):
    with pytest.raises(openai.BadRequestError, match="is at a private address"):
        served("mt5", allow_urls=True).ask(image(f"http://{host}:{website.server_port}/a.png"))
    assert website.paths == []


def test_a_public_image_is_fetched_but_no_redirect_to_a_private_address_followed(served, website, monkeypatch):
    each = served("mt5", allow_urls=True)
    monkeypatch.setattr("processing_mblip.image_urls.is_public", lambda number: number != "127.0.0.2")
    answer = each.ask(image(f"http://127.0.0.1:{website.server_port}/a.png"), text(QUESTION))
    assert answer.choices[0].message.content == each.generate([RED], QUESTION)[2]
    path = f"/to?http://127.0.0.2:{website.server_port}/b.png"
    with pytest.raises(openai.BadRequestError, match=r"127\.0\.0\.2 is at a private address"):
        each.ask(image(f"http://127.0.0.1:{website.server_port}{path}"))
    assert website.paths == ["/a.png", path]
    with pytest.raises(openai.BadRequestError, match="files are never read"):
        each.ask(image("file:///etc/passwd"))


@contextmanager
def listening(app):
    """The app behind a socket of this machine."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield bound.getsockname()[1]
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_holds_nobody_up(served, stream, monkeypatch):
    monkeypatch.setattr(serve, "LOOK_SECONDS", 0.02)
    steps = []
    decoder = served("mt5").model.language_model.decoder
    hook = decoder.register_forward_hook(lambda *_: steps.append(time.sleep(0.02)))
    with listening(build_app(served("mt5").handler)) as port:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            body = json.dumps(asked(max_tokens=1000, stream=stream)).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            while len(steps) < 5:
                time.sleep(0.01)
        with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client:
            answer = client.chat.completions.create(model=NAME, messages=asked()["messages"], max_tokens=2)
    hook.remove()
    assert answer.usage.completion_tokens == 2
    assert len(steps) < 100  # 20 s would be 1000


def test_a_model_that_cannot_chat_is_refused_at_the_start():
    processor = tiny_processor("mt5", chat_template="{{ raise_exception('Only tools here') }}")
    with pytest.raises(ValueError, match=r"models/tiny cannot chat: its template .*Only tools here"):
        ChatHandler(tiny_model("mt5"), processor, NAME)


def test_a_template_that_shows_another_number_of_images_is_an_error():
    each = Served("mt5")
    each.processor.chat_template = "{% for message in messages %}<image><image>a{% endfor %}"
    with pytest.raises(openai.BadRequestError, match="`<image>` 2 time"):
        each.ask(image(uri(RED)))


def test_the_command_loads_a_folder_and_serves_it(tmp_path, monkeypatch, capsys):
    tiny_model("mt5", SEEDS["mt5"]).save_pretrained(tmp_path / "tiny")
    tiny_processor("mt5").save_pretrained(tmp_path / "tiny")
    apps = []
    monkeypatch.setattr(uvicorn, "run", lambda app, **settings: apps.append((app, settings)))
    serve.main([str(tmp_path / "tiny"), "--port", "9", "--device", "cpu", "--dtype", "float32", "--load_in", "none"])
    ((app, settings),) = apps
    assert (settings["host"], settings["port"]) == ("127.0.0.1", 9)
    answer = TestClient(app).post("/v1/chat/completions", json=asked(QUESTION, model="tiny", max_tokens=6)).json()
    assert answer["choices"][0]["message"]["content"].split() != []
    assert capsys.readouterr().out.startswith(f"Loaded {tmp_path / 'tiny'}. ")


@pytest.mark.parametrize(
    "words", ["ein roter Kreis", "三个紫色的小圆形", "ثلاث دوائر صغيرة", "작은 검은 고리", "तीन छोटे वृत्त"]
)
def test_the_pieces_of_an_answer_make_the_text_that_the_tokenizer_decodes(words):
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "quickstart" / "multilingual_language_model")
    ids = tokenizer(words)["input_ids"]

    async def streamed():
        queue = asyncio.Queue()
        streamer = Streamer(tokenizer._tokenizer, asyncio.get_running_loop(), queue, stop=["no such"])
        for each in ([0], *([number] for number in ids)):  # a prompt, which is left out, and the tokens
            streamer.put(torch.tensor(each))
        streamer.end()
        found = [await queue.get()]
        while found[-1] is not None:
            found.append(await queue.get())
        return found[:-1], streamer.token_ids

    shown, token_ids = asyncio.run(streamed())
    assert "".join(shown) == tokenizer.decode(ids, skip_special_tokens=True) == words
    assert len(shown) > 1
    assert token_ids == ids
