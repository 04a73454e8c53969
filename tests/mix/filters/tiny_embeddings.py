"""Stores of embeddings to be checked by eye, and tiny random models that make embeddings."""

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipProcessor,
)

from mblip.data.example import Example
from mblip.mix.filters.embeddings import EmbeddedBatch, store_embeddings

WORDS = ["<pad>", "</s>", "<unk>", "a", "dog", "cat", "man", "on", "the", "of", "with", "table", "train", "street"]
SIDE = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = SIDE | {"image_size": 28, "patch_size": 14}
TEXT = SIDE | {
    "vocab_size": len(WORDS),
    "max_position_embeddings": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 1,
}


def caption(number, text, image_id=None, language="en"):
    image_id = f"made_up/{number}" if image_id is None else image_id
    return Example((f"{number}.jpg",), "", text, language, "captioning", "made_up", str(number), image_id)


def on_circle(degrees):
    angles = np.radians(np.array(degrees, dtype=np.float64))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def stored(folder, columns, embeddings, model="tiny-clip"):
    provenance = {"model": [model] * len(embeddings), "revision": ["abc"] * len(embeddings)}
    return store_embeddings([EmbeddedBatch(columns | provenance, embeddings)], folder)


def store_captions(folder, examples, embeddings, **options):
    columns = {
        "source": [example.source for example in examples],
        "id": [example.id for example in examples],
        "image_id": [example.image_id for example in examples],
        "language": [example.language for example in examples],
        "text": [example.target for example in examples],
    }
    return stored(folder, columns, embeddings, **options)


def store_images(folder, image_ids, embeddings, **options):
    return stored(folder, {"image_id": list(image_ids)}, embeddings, **options)


def made_up_store(folder, num_images=60, captions_per_image=3, width=16, num_twins=60):
    """Random embeddings, some captions equal to others in text and embedding."""
    rng = np.random.default_rng(0)
    num_captions = num_images * captions_per_image
    embeddings = rng.standard_normal((num_images + num_captions, width)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    images, captions = embeddings[:num_images], embeddings[num_images:]
    words = [f"caption {i}" for i in range(num_captions)]
    for twin, original in rng.integers(num_captions, size=(num_twins, 2)):
        captions[twin], words[twin] = captions[original], words[original]
    examples = [caption(i, word, f"image {i // captions_per_image}") for i, word in enumerate(words)]
    return (
        store_images(folder / "images", [f"image {i}" for i in range(num_images)], images),
        store_captions(folder / "captions", examples, captions),
        examples,
    )


def tiny_tokenizer():
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=8
    )


def save_tiny_model(kind, folder):
    """A tiny random model, "clip" or "siglip", with its processor, as published ones lie on the Hub."""
    torch.manual_seed(0)
    size = {"height": 28, "width": 28}
    if kind == "clip":
        model = CLIPModel(CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=12))
        processor = CLIPProcessor(CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size=size), tiny_tokenizer())
    else:
        model = SiglipModel(SiglipConfig(text_config=TEXT, vision_config=VISION))
        processor = SiglipProcessor(SiglipImageProcessorPil(size=size), tiny_tokenizer())
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def pictures(num_images):
    drawn = [np.random.default_rng(i).integers(256, size=(20 + i, 40, 3), dtype=np.uint8) for i in range(num_images)]
    return [(f"image {i}", Image.fromarray(pixels)) for i, pixels in enumerate(drawn)]


def all_rows(batches):
    return np.concatenate([batch.embeddings for batch in batches])
