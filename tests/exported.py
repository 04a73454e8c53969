"""Small models that tell twenty images apart, for comparing programs: random ones would repeat themselves."""

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tiny import FAMILIES, tiny_config, tiny_processor
from transformers import AutoConfig

from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor

NUM_IMAGES = 20
PROMPT = "what colour is the circle ?"
ANSWER_TOKENS = 4
DATA = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
# Heads of 32 dimensions: vLLM's attention on CPUs takes no smaller ones.
SIZES = {"hidden_size": 64, "num_attention_heads": 2}
SHAPES = {
    "opt": SIZES | {"word_embed_proj_dim": 64},
    "gemma": {"head_dim": 32},
    "gemma2": {"head_dim": 32, "sliding_window": 4},
    "gemma3_text": {"head_dim": 32, "sliding_window": 4},
    "qwen3": {"head_dim": 32},
    "granite": {"embedding_multiplier": 3.0, "residual_multiplier": 0.5, "attention_multiplier": 0.2},
    "bloom": {"n_head": 2},
    "gpt2": {"n_embd": 64, "n_head": 2},
}


def save_images(folder: Path) -> list[Path]:
    """Twenty images as files: photos if the sample data are there, else drawn ones."""
    photos = sorted((DATA / "coco" / "images").rglob("*.jpg"))[:NUM_IMAGES]
    if len(photos) == NUM_IMAGES:
        return photos
    generator = np.random.default_rng(0)
    paths = [folder / f"{i}.png" for i in range(NUM_IMAGES)]
    for path in paths:
        pixels = generator.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48), Image.Resampling.NEAREST).save(path)
    return paths


def learned_model(
    family: str, images: list[Path], num_steps: int = 100, **changes: object
) -> tuple[MBlipForConditionalGeneration, MBlipProcessor]:
    """A tiny model that has learned another answer for each image, and its processor."""
    torch.manual_seed(0)
    shape = FAMILIES.get(family, FAMILIES["llama"]) | SIZES | SHAPES.get(family, {}) | changes
    config = tiny_config(text_config=AutoConfig.for_model(family, **shape))
    model, processor = MBlipForConditionalGeneration(config), tiny_processor("llama")
    with torch.no_grad():
        model.query_tokens.weight.normal_()
    inputs = processor(images=list(map(str, images)), text=[PROMPT] * len(images), return_tensors="pt")
    answers = torch.randint(50, 120, (len(images), ANSWER_TOKENS))
    answers[:, -1] = processor.tokenizer.eos_token_id
    input_ids = torch.cat([inputs["input_ids"], answers], dim=1)
    labels = input_ids.clone()
    labels[:, :-ANSWER_TOKENS] = -100
    model.vision_model.requires_grad_(False)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    model.train()
    for _ in range(num_steps):
        loss = model(input_ids=input_ids, pixel_values=inputs["pixel_values"], labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return model.eval(), processor
