"""Serve a model over HTTP, with the interface of OpenAI's chat completions.

    mblip serve MODEL                                at http://127.0.0.1:8000/v1, until Ctrl+C
    mblip serve MODEL --host 0.0.0.0 --port 9000     for other machines, too; there is no password
    mblip serve MODEL --load_in 4bit                 on a small GPU (or 8bit)
    mblip serve MODEL --allow_urls                   also fetch images from the public internet

MODEL is a folder or a name on the Hub, or an adapter, as for `mblip eval`. A request holds its images as data URIs
(`data:image/jpeg;base64,...`), any number in each message. Files of this machine are never read. Requests are answered
one after the other, by the classes of `transformers serve`; what they leave open is here: images, limits, errors.
"""

import argparse
import asyncio
import copy
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import openai  # noqa: F401  # transformers' serving cannot be imported without it
import torch
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator
from starlette.exceptions import HTTPException as AnyHTTPException
from transformers import GenerationConfig
from transformers.cli.serving.chat_completion import ChatCompletionHandler
from transformers.cli.serving.utils import (
    DirectStreamer,
    GenerateManager,
    GenerationState,
    _GenerationCancelled,
    _StreamError,
)
from transformers.utils import logging

from mblip.data.images import MAX_PIXELS
from mblip.data.recipes.ranges import count
from mblip.evaluation.recipe import DtypeName, LoadIn
from mblip.loading import Precision, load_on_device
from processing_mblip import MBlipProcessor, load_upright_rgb

logger = logging.get_logger(__name__)

MAX_BODY_BYTES = 64_000_000
MIN_TEMPERATURE = 0.01  # logits would overflow below it, so decoding is greedy
MAX_CHARACTERS = 100  # of a token
LOOK_SECONDS = 0.5  # how often we look whether a client is still there
THREADS, THREADS_WITH_URLS = 2, 16  # to make inputs; few, because an image may take 270 MB
EXAMPLE = "{'type': 'image_url', 'image_url': {'url': 'data:image/jpeg;base64,...'}}"
Text = Annotated[str, Field(min_length=1)]
# Clients send fields that change no answer here, and others with a value that asks for nothing, as null and [] do.
IGNORED = {"metadata", "parallel_tool_calls", "prompt_cache_key", "reasoning_effort", "safety_identifier"}
IGNORED |= {"service_tier", "store", "stream_options", "tool_choice", "user"}  # every stream ends with the usage
NEUTRAL = {"logprobs": False, "modalities": ["text"], "n": 1, "presence_penalty": 0, "top_logprobs": 0}
NEUTRAL |= {"response_format": {"type": "text"}, "verbosity": "medium"}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="mblip serve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL", help="folder, name on the Hub, or adapter")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at; default 127.0.0.1: not from outside"
    )
    parser.add_argument("--port", type=int, default=8000, help="0: any free one; default 8000")
    parser.add_argument("--device", help="such as cuda:1; default: the GPU if there is one, else cpu")
    parser.add_argument("--dtype", choices=get_args(DtypeName), default="auto", help="dtype of ViT and language model")
    parser.add_argument("--load_in", choices=("none", *get_args(LoadIn)), default="none", help="default none")
    parser.add_argument("--max_tokens", type=count, default=2048, help="of prompt, images and answer; default 2048")
    parser.add_argument("--allow_urls", action="store_true", help="fetch images from public http(s) addresses")
    given = parser.parse_args(arguments)
    precision = Precision.named(given.dtype, None if given.load_in == "none" else given.load_in)
    model, processor = load_on_device(given.model, precision, given.device)
    handler = ChatHandler(model, processor, given.model, max_tokens=given.max_tokens, allow_urls=given.allow_urls)
    print(f"Loaded {given.model}. For OpenAI's client, add /v1 to the address that follows.", flush=True)
    uvicorn.run(build_app(handler), host=given.host, port=given.port, timeout_graceful_shutdown=5)


class Message(BaseModel):
    """One message. The parts of its content are checked where they are read."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[dict[str, Any]]


class ChatRequest(BaseModel):
    """What we take of OpenAI's request. Any other field is refused, unless it changes nothing."""

    model_config = ConfigDict(extra="forbid")

    messages: list[Message] = Field(min_length=1)
    model: str | None = None
    stream: bool = False
    max_tokens: PositiveInt | None = None
    max_completion_tokens: PositiveInt | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    frequency_penalty: float | None = Field(None, gt=-1, le=2)  # a repetition penalty, as in `transformers serve`
    seed: int | None = Field(None, ge=0, lt=2**63)
    stop: Text | list[Text] | None = None

    @model_validator(mode="before")
    @classmethod
    def without_defaults(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        wishes = {name: value for name, value in body.items() if name not in IGNORED}
        return {name: value for name, value in wishes.items() if value not in (None, [], {}, NEUTRAL.get(name))}


class Streamer(DirectStreamer):
    """transformers' streamer, without stop strings and what follows them."""

    def __init__(self, *args: Any, stop: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.token_ids: list[int] = []  # the new ones
        self._stop, self._held, self._is_stopped = stop, "", False

    def put(self, value: torch.Tensor) -> None:
        num_before = self.total_tokens
        super().put(value)
        self.token_ids += value.flatten().tolist()[: self.total_tokens - num_before]  # none of a prompt
        if self._is_stopped:
            self.end()
            raise _GenerationCancelled

    def _enqueue(self, item: Any) -> None:
        if type(item) is str:
            item = self._shown(self._held + item)
        elif item is None and not self._is_stopped:
            super()._enqueue(self._held)
        if item != "":
            super()._enqueue(item)

    def _shown(self, text: str) -> str:
        """`text` up to a stop string, or to what may be the beginning of one. That is held until more text comes."""
        found = [text.find(stop) for stop in self._stop if stop in text]
        begun = (n for stop in self._stop for n in range(1, len(stop)) if text.endswith(stop[:n]))
        end = min(found) if found else len(text) - max(begun, default=0)
        self._is_stopped, self._held = bool(found), text[end:]
        return text[:end]


class Generation(GenerateManager):
    """transformers' thread for `generate`. An answer in one piece is a collected stream, so both are equal.

    transformers itself would cut the prompt's length from the result of `generate`. Ours are new tokens only.
    """

    def generate_streaming(
        self, model: Any, processor: Any, inputs: Any, gen_config: Any, request_id: str, response_parser: Any = None
    ) -> tuple[asyncio.Queue, Streamer]:
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[Any]()
        # transformers would look for stop strings in tables of the vocabulary, which take seconds to make.
        stop, gen_config.stop_strings = gen_config.stop_strings or [], None
        stop = [stop] if isinstance(stop, str) else stop
        streamer = Streamer(processor.tokenizer._tokenizer, loop, queue, response_parser, stop=stop)
        seed = inputs.pop("seed")

        def generate() -> None:
            try:
                if not streamer._cancelled.is_set():
                    torch.manual_seed(torch.seed() if seed is None else seed)
                    model.generate(**inputs, generation_config=gen_config, streamer=streamer)
            except _GenerationCancelled:
                pass
            except Exception as error:  # whatever it is, the thread goes on
                logger.exception("The request %s failed.", request_id)
                text = json.dumps(f"{type(error).__name__}: {error}")[1:-1]  # transformers writes it between quotes
                loop.call_soon_threadsafe(queue.put_nowait, _StreamError(text))

        self.submit(generate)
        return queue, streamer

    async def generate_non_streaming(
        self, model: Any, processor: Any, inputs: Any, gen_config: Any, request_id: str
    ) -> tuple[str, int, Any]:
        queue, streamer = self.generate_streaming(model, processor, inputs, gen_config, request_id)
        texts: list[str] = []
        try:
            while (item := await queue.get()) is not None:
                if isinstance(item, _StreamError):
                    raise HTTPException(500, json.loads(f'"{item.msg}"'))
                texts.append(item)
        finally:
            streamer.cancel()
        return "".join(texts), inputs["input_ids"].shape[-1], streamer.token_ids


class ChatHandler(ChatCompletionHandler):
    """Answers chats with one model.

    Args:
        name: of the model, on the command line. That of its folder is accepted, too.
        max_tokens: of a prompt with its images and answer; of each of them, for an encoder-decoder. A model with fewer
            positions takes fewer.
        allow_urls: fetch images from public addresses.

    Raises:
        ValueError: the model cannot chat.
    """

    def __init__(
        self, model: Any, processor: MBlipProcessor, name: str, *, max_tokens: int = 2048, allow_urls: bool = False
    ) -> None:
        super().__init__(None, GenerationState())  # type: ignore[arg-type]  # one model needs no manager
        self.model, self.processor, self.allow_urls = model, processor, allow_urls
        self.names = list(dict.fromkeys([name, Path(name).name]))
        # T5 and BLOOM count no positions.
        positions = getattr(model.config.text_config.get_text_config(), "max_position_embeddings", max_tokens)
        self.max_tokens = min(max_tokens, positions)
        self.defaults = copy.deepcopy(model.generation_config)
        self.defaults.update(num_beams=1, num_return_sequences=1, return_dict_in_generate=False, max_length=None)
        self._generation = Generation()
        self._threads = ThreadPoolExecutor(THREADS_WITH_URLS if allow_urls else THREADS)
        if not processor.tokenizer.is_fast:
            raise ValueError(f"The tokenizer of {name} is no fast one, which streaming needs. Convert it.")
        try:
            self._inputs([Message(role="user", content="?")])
        except ValueError as error:
            raise ValueError(f"{name} cannot chat: its template refuses a question ({error}).") from error

    async def handle_request(self, body: Any, request_id: str) -> StreamingResponse | JSONResponse:
        """Answer a request. Raises HTTPException if it is wrong."""
        try:
            chat = ChatRequest.model_validate(body)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the body"
            raise HTTPException(400, f"`{where}`: {first['msg']}, found {first['input']!r:.100}.") from error
        name = self.names[0] if chat.model is None else chat.model
        if name not in self.names:
            raise HTTPException(404, f"There is no model {name!r:.200} here, but {self.names[0]!r}.")
        try:
            loop = asyncio.get_running_loop()
            inputs = await loop.run_in_executor(self._threads, self._inputs, chat.messages)
            config = self._config(chat, inputs["input_ids"].shape[1])
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        inputs["seed"] = chat.seed
        arguments = (request_id, self.model, self.processor, name, inputs, config)
        if not chat.stream:
            return await self._non_streaming(*arguments, gen_manager=self._generation)
        response = self._streaming(*arguments, gen_manager=self._generation)
        response.body_iterator = _until_done(response.body_iterator)
        return response

    def _inputs(self, messages: Sequence[Message]) -> dict[str, Any]:
        """The model's inputs. Raises ValueError for parts or images that cannot be read, or too many of them."""
        texts, images = [], ImageParts(self.allow_urls, self.max_tokens // self.processor.num_query_tokens)
        conversation: list[dict[str, Any]] = []
        for message in messages:
            content: Any = message.content
            if isinstance(content, list):
                content = [part if part.get("type") == "text" else images.read(part) for part in content]
            texts += [content] if isinstance(content, str) else [str(part.get("text", "")) for part in content]
            role = "system" if message.role == "developer" else message.role
            conversation.append({"role": role, "content": content})
        num_characters = sum(map(len, texts))
        if num_characters > MAX_CHARACTERS * self.max_tokens:  # too many even to count their tokens
            raise ValueError(f"Found {num_characters:,} characters, more than {self.max_tokens} tokens. Shorten them.")
        inputs = self.processor.apply_chat_template(
            conversation,
            add_generation_prompt=True,
            sanitize_control_tokens=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        return dict(inputs.to(self.model.device))

    def _config(self, chat: ChatRequest, num_prompt_tokens: int) -> GenerationConfig:
        """How to generate. Raises ValueError if prompt and answer are too long."""
        config = self._build_generation_config(chat.model_dump(exclude={"seed"}), self.defaults)
        if chat.temperature is not None:
            config.do_sample = chat.temperature >= MIN_TEMPERATURE
            config.temperature = chat.temperature if config.do_sample else 1.0
        asked = chat.max_completion_tokens or chat.max_tokens
        room = self.max_tokens - (0 if self.model.config.is_encoder_decoder else num_prompt_tokens)
        if num_prompt_tokens > self.max_tokens or room < (asked or 1):
            raise ValueError(
                f"Found a prompt of {num_prompt_tokens} tokens, images included, and max_tokens {asked or 1}, but "
                f"expected {self.max_tokens} at most. Shorten it, or start the server with more --max_tokens."
            )
        config.max_new_tokens = min(room, config.max_new_tokens)  # transformers has set what is asked, or 1,024
        return config


class ImageParts:
    """Reads the images of a request for the processor, which itself would also read files of this machine.

    An image that comes again is neither read nor encoded again.
    """

    def __init__(self, allow_urls: bool, max_images: int) -> None:
        self._allow_urls, self._num_left, self._images = allow_urls, max_images, dict[str, Image.Image]()

    def read(self, part: Mapping[str, Any]) -> dict[str, Any]:
        """A part as the processor takes it. Raises ValueError if it is no image, or too large with those before."""
        name, found = f"image {len(self._images)}", part.get("image_url")
        url = found.get("url") if isinstance(found, dict) else found
        if part.get("type") != "image_url" or not isinstance(url, str):
            raise ValueError(f"Found the part {dict(part)!r:.100}, expected a text or {EXAMPLE}.")
        schemes = ("data:", "http://", "https://") if self._allow_urls else "data:"
        if not url.lstrip()[:8].lower().startswith(schemes):
            why = "files are never read" if self._allow_urls else "files and, without --allow_urls, URLs are not read"
            raise ValueError(f"{name} is {url[:40]!r}, but {why}. Expected {EXAMPLE}.")
        if url not in self._images:
            self._images[url] = load_upright_rgb(url, name)
            if self._images[url].size == (1, 1):
                raise ValueError(f"{name} is a single pixel, which shows nothing. Leave it out.")
        self._num_left -= 1
        num_pixels = sum(image.width * image.height for image in self._images.values())
        if self._num_left < 0 or num_pixels > MAX_PIXELS:
            raise ValueError(f"There are too many images or, with over {MAX_PIXELS:,} pixels in all, too large ones.")
        return {"type": "image", "image": self._images[url]}


def build_app(handler: ChatHandler) -> FastAPI:
    """The routes `/v1/chat/completions`, `/v1/models` and `/health`. Errors have OpenAI's layout."""
    app = FastAPI(openapi_url=None)
    began = int(time.time())

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise HTTPException(413, f"The request has more than {MAX_BODY_BYTES:,} bytes. Shrink its images.")
        try:
            chat = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise HTTPException(400, f"The request is not JSON: {error}.") from error
        work = asyncio.create_task(handler.handle_request(chat, f"chatcmpl-{uuid.uuid4().hex}"))
        while not (await asyncio.wait([work], timeout=LOOK_SECONDS))[0]:
            if await request.is_disconnected():
                work.cancel()
        return Response(status_code=499) if work.cancelled() else work.result()

    @app.get("/health")
    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        about = {"object": "model", "created": began, "owned_by": "mblip"}
        return {"object": "list", "data": [{"id": name, **about} for name in handler.names]}

    @app.exception_handler(AnyHTTPException)
    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        status, message = 500, f"{type(error).__name__}: {error}"
        if isinstance(error, AnyHTTPException):
            status, message = error.status_code, error.detail
        if "endpoint" not in request.scope:
            message = f"Found {request.method} {request.url.path:.100}, expected POST /v1/chat/completions."
        kind = "invalid_request_error" if status < 500 else "server_error"
        return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": None}}, status)

    return app


async def _until_done(parts: Any) -> AsyncIterator[str]:
    """A stream with the end that OpenAI's has and transformers' has not."""
    async with aclosing(parts):
        async for part in parts:
            yield part
    yield "data: [DONE]\n\n"
