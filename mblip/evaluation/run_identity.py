"""What makes the answers of a run: model, settings, examples, images, and the processor that turns them into inputs.

The digests guard against mistakes, such as a checkpoint that was replaced under the same name, so they are fast ones.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
import xxhash
from accelerate.utils import align_module_device
from PIL import Image as PILImage
from torch.distributed.tensor import DTensor

from mblip.data.images import Image, RefusedImageError
from mblip.data.images.locations import open_bytes

from .model_inputs import Processor, encode_prompts
from .task import EvaluationExample, EvaluationTask

PROBE = PILImage.linear_gradient("L").convert("RGB")  # shows size, crop, resampling and normalisation


def run_identity(
    model: Any, processor: Processor, task: EvaluationTask, settings: object, weights: str | None = None
) -> dict[str, str]:
    """The identity of a run, each part by its name. `weights`: their digest, if it is known."""
    return {
        "task": task.name,
        "protocol": task.protocol,
        "model": str(model.config.name_or_path),
        "weights": weights or digest_weights(model),
        "configuration": _digest(f"{model.config}\n{model.generation_config}"),
        "settings": f"{settings}, {task.answering} by {task.rank_by}",
        "examples": _digest_examples(task.examples),
        "images": _digest_images(task.examples),
        "processor": _digest_processor(processor, task.examples),
    }


def digest_weights(model: Any) -> str:
    """A digest of name, dtype, shape and bytes of all weights and buffers, also quantised, sharded, offloaded ones."""
    digest = xxhash.xxh3_128()
    for name, value in sorted(model.state_dict().items(), key=lambda item: item[0]):
        if not isinstance(value, torch.Tensor):  # the format of 8-bit weights
            digest.update(f"{name} {value}".encode())
            continue
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(_bytes(_with_values(model, name) if value.is_meta else value))
    return digest.hexdigest()


def _with_values(model: torch.nn.Module, name: str) -> torch.Tensor:
    """A weight or buffer that accelerate keeps in memory or on disk, for use when its module runs."""
    owner, _, attribute = name.rpartition(".")
    module = model.get_submodule(owner)
    with align_module_device(module):
        return module.state_dict()[attribute].clone()


def _bytes(value: torch.Tensor) -> memoryview:
    whole = value.full_tensor() if isinstance(value, DTensor) else value
    return whole.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _digest_examples(examples: Sequence[EvaluationExample]) -> str:
    """A digest of the examples in any order. Candidates that examples share are digested once."""
    digest_candidates = cache(lambda candidates: _digest(json.dumps(candidates)))
    lines = []
    for example in examples:
        fields = (example.condition, example.id, example.image_id, example.prompt, example.content_free)
        lines.append(json.dumps([*fields, digest_candidates(example.candidates), *example.references]))
    return _digest("\n".join(sorted(lines)))


def _digest_images(examples: Sequence[EvaluationExample]) -> str:
    """A digest of the images' bytes by `image_id`."""
    images = {example.image_id: example.images for example in examples}
    digests = [[image_id, *map(_digest_image, images[image_id])] for image_id in sorted(images)]
    return _digest(json.dumps(digests))


def _digest_image(image: Image) -> str:
    if isinstance(image, PILImage.Image):
        return _digest(f"{image.mode} {image.size}".encode() + image.tobytes())
    try:
        return _digest(image if isinstance(image, bytes) else open_bytes(image))
    except RefusedImageError:  # the run tells when it comes to the image
        return str(image)


def _digest_processor(processor: Any, examples: Sequence[EvaluationExample]) -> str:
    """A digest of the token ids of the prompts, of the text of all ids, and of what becomes of an image."""
    asked = sorted({(example.prompt, len(example.images)) for example in examples})
    ids = encode_prompts(processor, [prompt for prompt, _ in asked], [number for _, number in asked])
    pixels = processor(images=[PROBE], return_tensors="pt")["pixel_values"]
    vocabulary = torch.tensor([sorted(processor.tokenizer.get_vocab().values())])
    texts = processor.batch_decode(vocabulary, skip_special_tokens=True)
    return _digest(json.dumps([ids, texts]).encode() + _bytes(pixels))


def _digest(content: str | bytes) -> str:
    encoded = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return xxhash.xxh3_128_hexdigest(encoded)
