"""Whatever is given to the processor, a result, a ValueError or a TypeError comes out, and memory stays small."""

import base64
import io
from typing import Any

import numpy as np
import PIL.Image
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.memory import growing_less_than
from tests.chaos.outcomes import attempted
from tests.tiny import tiny_processor

MOST_MEGABYTES = 300
MODES = ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16"]
FORMATS = ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "ICO", "PPM", "TGA", "EPS", "DDS"]
SHAPES = [(), (0,), (5,), (4, 6), (4, 6, 1), (4, 6, 2), (4, 6, 3), (3, 4, 6), (4, 4, 6), (2, 3, 4, 6), (0, 4, 3)]
NUMPY_TYPES = ["bool", "uint8", "int16", "uint16", "int64", "float16", "float32", "complex64", "object", "U1", "M8[s]"]
TORCH_TYPES = [torch.bool, torch.uint8, torch.int32, torch.float16, torch.bfloat16, torch.float32, torch.complex64]
BOMB = base64.b64decode("UklGRhoAAABXRUJQVlA4TA4AAAAvk6r/DwcQEf0PRET/Aw==")  # 16,000 x 16,000 pixels in 34 bytes
WORDS = ["<image>", "\\<image>", "</s>", "<pad>", "<eos>", "<bos>", "a", "red", "\ud800", "\0", "\u202e", "é", "\n"]
LOCATIONS = ["nothing.png", "/", ".", "file:///etc/hostname", "http://127.0.0.1:9/x", "http://[", "data:,", "a\0b"]

pick = st.sampled_from


def mostly(usual: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Three of four times the usual."""
    return st.integers(0, 3).flatmap(lambda turn: usual if turn else other)


seeds = st.integers(0, 2**32 - 1)
junk = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), pick([{}, [], object()]), st.binary(max_size=9))


@st.composite
def pil_images(draw: st.DrawFn) -> PIL.Image.Image:
    mode, size = draw(pick(MODES)), draw(st.tuples(st.integers(0, 40), st.integers(1, 40)))
    image = PIL.Image.new(mode, size)
    if draw(st.booleans()):
        image.info["transparency"] = draw(st.one_of(st.integers(-1, 300), st.binary(max_size=3), st.none()))
    return image


@st.composite
def encoded_images(draw: st.DrawFn) -> bytes:
    """A file of any format, whole or damaged."""
    noise = np.random.default_rng(draw(seeds)).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(noise).save(file, draw(pick(FORMATS)))
    data = bytearray(draw(pick([file.getvalue(), BOMB])))
    for place, value in draw(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4)):
        data[int(place * len(data))] = value
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    scale = draw(pick([0, 1, 1.01, 255, 256, -1, float("nan"), float("inf")]))
    values = np.random.default_rng(draw(seeds)).random(draw(pick(SHAPES))) * scale
    return np.asarray(values).astype(draw(pick(NUMPY_TYPES)))


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    tensor = (torch.rand(draw(pick(SHAPES))) * draw(pick([0, 1, 255]))).to(draw(pick(TORCH_TYPES)))
    match draw(pick(["plain", "sparse", "meta", "quantised", "nested", "grad"])):
        case "sparse":
            return tensor.to_sparse()
        case "meta":
            return tensor.to("meta")
        case "quantised":
            return torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.quint8)
        case "nested":
            return torch.nested.nested_tensor([tensor.float().flatten()])
        case "grad":
            return tensor.float().requires_grad_()
    return tensor


def data_uri(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


locations = st.one_of(
    encoded_images().map(data_uri), pick(LOCATIONS), st.text(max_size=20).map("data:image/png;base64,".__add__)
)
image = st.one_of(
    pil_images(), encoded_images(), arrays(), tensors(), locations, encoded_images().map(io.BytesIO), junk
)
any_images = st.one_of(
    image, st.lists(image, max_size=3), st.lists(st.lists(image, max_size=2), max_size=3), st.none()
)
text = st.one_of(st.lists(pick(WORDS), max_size=6).map(" ".join), st.text(max_size=30))
any_texts = st.one_of(text, st.lists(st.one_of(text, text, text, junk), max_size=3), st.none(), junk)
count = st.one_of(st.integers(-2, 40), pick([10**6, 10**12, 2**70, "5", 2.5, None, True]))
flag = pick([True, False, None, "yes", 1, [], "a string"])
FLAGS = [
    *("add_special_tokens", "split_special_tokens", "sanitize_control_tokens", "return_offsets_mapping"),
    *("return_attention_mask", "return_mm_token_type_ids", "do_resize", "do_rescale", "do_normalize"),
]
KEYWORDS: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(FLAGS, flag) | {
    "max_length": count,
    "padding": pick([True, False, "max_length", "longest", "do_not_pad", "all", 5, None]),
    "truncation": pick([True, False, "longest_first", "only_first", "no", 3]),
    "padding_side": pick(["left", "right", "top", 1]),
    "pad_to_multiple_of": count,
    "return_tensors": pick(["pt", "np", None, "tf", "pt", "xx", 1]),
    "size": pick([{"height": 28, "width": 28}, {}, 28, None, {"height": -1, "width": 0}, "big", [], 10**12]),
    "image_mean": pick([[0.5] * 3, [0.5], "x", None, [float("nan")] * 3]),
    "resample": pick([0, 3, 99, "bicubic", None]),
    "device": pick(["cpu", "meta", "moon", None]),
    "stride": count,
    "videos": junk,
    "unknown_argument": junk,
}


@st.composite
def keyword_arguments(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(pick(sorted(KEYWORDS)), max_size=3, unique=True))
    return {name: draw(KEYWORDS[name]) for name in names}


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of a call. In most of them, every prompt has its images."""
    an_image = draw(pick([pil_images(), encoded_images(), image]))
    if draw(st.integers(0, 3)):
        prompts = draw(st.lists(text, min_size=1, max_size=3))
        images = [
            draw(st.lists(an_image, min_size=prompt.count("<image>"), max_size=max(1, prompt.count("<image>"))))
            for prompt in prompts
        ]
        given = {"images": images, "text": prompts}
    else:
        given = {"images": draw(any_images), "text": draw(any_texts)}
    return given | draw(keyword_arguments())


text_part = st.fixed_dictionaries({"type": st.just("text"), "text": text})
image_part = st.fixed_dictionaries({"type": st.just("image"), "image": mostly(pil_images(), image)})
other_part = st.fixed_dictionaries(
    {"type": pick(["image", "video", "input_image", "text", "", 5])},
    optional={"url": locations, "image_url": locations, "text": st.one_of(text, junk)},
)
message = st.fixed_dictionaries(
    {
        "role": pick(["user", "assistant", "system"]),
        "content": st.lists(mostly(st.one_of(text_part, image_part), other_part), max_size=3),
    }
)
other_message = st.fixed_dictionaries(
    {}, optional={"role": st.one_of(text, junk), "content": st.one_of(st.lists(other_part, max_size=2), text, junk)}
)
messages = st.lists(mostly(message, st.one_of(other_message, junk)), min_size=1, max_size=3)
conversations = mostly(messages, st.one_of(st.lists(messages, max_size=2), text, junk))
PROCESSOR = tiny_processor()


@given(calls())
def test_a_call_gives_a_result_or_a_clear_refusal(call: dict[str, Any]) -> None:
    with growing_less_than(MOST_MEGABYTES):
        attempted("processor calls", lambda: PROCESSOR(**call))


@given(conversations, keyword_arguments())
def test_a_conversation_gives_a_result_or_a_clear_refusal(conversation: Any, keywords: dict[str, Any]) -> None:
    settings = {"tokenize": True, "return_dict": True, "processor_kwargs": keywords}
    with growing_less_than(MOST_MEGABYTES):
        attempted("conversations", lambda: PROCESSOR.apply_chat_template(conversation, **settings))
