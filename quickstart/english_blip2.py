"""The English BLIP-2: a tiny BLIP-2 (ViT, Q-Former, T5) trained on the drawn world, in English.

As in BLIP-2, vision comes first and language second:
1. attributes: ViT and Q-Former learn to describe an image. Nine query tokens each predict one attribute (count, size,
   colour and shape of both groups, and the relation), and every patch predicts what covers it. We discard these heads.
2. captions: ViT and language model are frozen. Q-Former, query tokens and projection learn to make the language model
   write captions and answers. (The language model comes from text_components.py. It has read English and has never
   seen an image.)

The attributes begin with things outside the world: known shapes in unnamed colours, and unnamed shapes in known
colours. A model that learns colours before shapes otherwise learns that red things are never circles, because in
training they never are. It learns this before it knows what a circle looks like, and does not unlearn it.

It is transformers' `Blip2ForConditionalGeneration`, not our model: the quickstart starts from what users have.
"""

import math
import random
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    PreTrainedTokenizerFast,
    T5ForConditionalGeneration,
)
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from mblip.data.prompts import TASKS
from scenes.drawing import (
    CELL_PIXELS,
    GRID,
    IMAGE_SIZE,
    OUTLINES,
    RGB,
    Appearance,
    draw_scene,
    named_appearance,
    place_things,
)
from scenes.languages import caption, questions
from scenes.world import (
    COLOURS,
    RELATIONS,
    SHAPES,
    SIZES,
    Group,
    Scene,
    sample_held_out_scene,
    sample_scene,
    sample_training_scene,
)

WIDTH, NUM_QUERY_TOKENS, BATCH_SIZE = 128, 16, 64
NUM_LABELS = (3, 2, 8, 8, 4, 4, 3, 9, 9)  # labels per attribute, in the order of `attribute_labels`
COLOUR_LABELS, SHAPE_LABELS, RELATION_LABEL = (2, 7), (3, 8), 4
NUM_CELL_LABELS = (9, 9, 4)  # colour, shape, size (a container is the third size); 0 = nothing here
BACKGROUND_WEIGHT = 0.1
IGNORED = -100
QUESTION_SHARE = 0.2
UNNAMED_DISTANCE = 70  # the least distance of an unnamed colour from every named colour, in RGB


def attribute_labels(scene: Scene) -> list[int]:
    """Count, size, colour and shape of the subject, the relation (0: none), and the same of the reference."""
    subject, reference = scene.subject, scene.reference
    labels = [subject.count - 1, SIZES.index(subject.size), COLOURS.index(subject.colour), SHAPES.index(subject.shape)]
    if reference is None or scene.relation is None:
        return [*labels, 0, 3, 2, 8, 8]
    labels += [1 + RELATIONS.index(scene.relation), reference.count - 1, SIZES.index(reference.size)]
    return [*labels, COLOURS.index(reference.colour), SHAPES.index(reference.shape)]


def cell_labels(scene: Scene, rng: random.Random) -> np.ndarray:
    """Colour, shape and size of what covers each cell (3, 64), for the image that `rng` draws next."""
    ahead = random.Random()
    ahead.setstate(rng.getstate())
    labels = np.zeros((3, GRID, GRID), np.int64)
    centres = np.arange(GRID) + 0.5
    for group, radius, positions in place_things(scene, ahead):
        size = 3 if radius > 2 else 1 + SIZES.index(group.size)
        for x, y in positions:
            covered = (centres[None] - x) ** 2 + (centres[:, None] - y) ** 2 < (0.85 * radius) ** 2
            covered[min(int(y), GRID - 1), min(int(x), GRID - 1)] = True
            labels[:, covered] = np.array([[1 + COLOURS.index(group.colour)], [1 + SHAPES.index(group.shape)], [size]])
    return labels.reshape(3, -1)


def unnamed_colour(group: Group, rng: random.Random) -> Appearance:
    """The group's shape in a colour outside the world."""
    while True:
        colour = tuple(rng.randrange(256) for _ in range(3))
        if (
            all(math.dist(colour, named) > UNNAMED_DISTANCE for named in RGB.values())
            and max(colour) - min(colour) > 40
        ):
            return Appearance(OUTLINES[group.shape], colour, has_hole=group.shape == "ring")


def unnamed_shape(group: Group, rng: random.Random) -> Appearance:
    """A random blob in the group's colour."""
    corners = [(rng.uniform(0.45, 1.0), 2 * math.pi * (k + rng.uniform(-0.3, 0.3)) / 7) for k in range(7)]
    return Appearance([(r * math.cos(a), r * math.sin(a)) for r, a in corners], RGB[group.colour])


def draw_lesson(rng: random.Random, named_share: float) -> tuple[np.ndarray, list[int], np.ndarray]:
    """An image with its labels. Attributes without a name are ignored in the loss."""
    if rng.random() < named_share:
        scene, look, colours, shapes, relations = sample_training_scene(rng), named_appearance, True, True, True
    elif rng.random() < 0.6:
        scene, look, colours, shapes, relations = sample_training_scene(rng), unnamed_colour, False, True, False
    else:
        scene, look, colours, shapes, relations = sample_scene(rng), unnamed_shape, True, False, True
    labels, cells = attribute_labels(scene), cell_labels(scene, rng)
    hidden = [
        *(() if colours else COLOUR_LABELS),
        *(() if shapes else SHAPE_LABELS),
        *(() if relations else (RELATION_LABEL,)),
    ]
    labels = [IGNORED if index in hidden else label for index, label in enumerate(labels)]
    if not colours:
        cells[0][cells[0] > 0] = IGNORED
    if not shapes:
        cells[1][cells[1] > 0] = IGNORED
    return np.asarray(draw_scene(scene, rng, look)), labels, cells


class Lessons(torch.utils.data.IterableDataset):
    """Batches of images (B, 96, 96, 3) with attribute labels (B, 9) and cell labels (B, 3, 64), never repeating."""

    def __init__(self, seed: int, named_share: float) -> None:
        self.seed, self.named_share = seed, named_share

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        rng = random.Random(self.seed)
        while True:
            images, labels, cells = zip(*(draw_lesson(rng, self.named_share) for _ in range(BATCH_SIZE)), strict=True)
            yield {
                "images": torch.from_numpy(np.stack(images)),
                "labels": torch.tensor(labels),
                "cells": torch.from_numpy(np.stack(cells)),
            }


def pixel_values(images: torch.Tensor) -> torch.Tensor:
    """(B, H, W, 3) bytes to (B, 3, H, W), as BLIP's image processor normalises them."""
    mean, std = torch.tensor(OPENAI_CLIP_MEAN) * 255, torch.tensor(OPENAI_CLIP_STD) * 255
    return ((images.float() - mean) / std).permute(0, 3, 1, 2)


class AttributeHeads(nn.Module):
    """Predicts attributes from the first nine query outputs, and what covers a cell from its patch."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes = nn.ModuleList(nn.Linear(WIDTH, num) for num in NUM_LABELS)
        self.cells = nn.ModuleList(nn.Linear(WIDTH, num) for num in NUM_CELL_LABELS)

    def forward(self, model: Blip2ForConditionalGeneration, images: torch.Tensor) -> tuple[list[torch.Tensor], ...]:
        patches = model.vision_model(pixel_values=pixel_values(images)).last_hidden_state
        queries = model.query_tokens.expand(len(images), -1, -1)
        outputs = model.qformer(query_embeds=queries, encoder_hidden_states=patches).last_hidden_state
        attributes = [head(outputs[:, index]) for index, head in enumerate(self.attributes)]
        return attributes, [head(patches[:, 1:]).transpose(1, 2) for head in self.cells]


def attribute_loss(
    model: Blip2ForConditionalGeneration, heads: AttributeHeads, batch: dict[str, torch.Tensor]
) -> torch.Tensor:
    attributes, cells = heads(model, batch["images"])
    loss = sum(cross_entropy(logits, batch["labels"][:, index]) for index, logits in enumerate(attributes))
    for index, logits in enumerate(cells):
        weight = torch.tensor([BACKGROUND_WEIGHT] + [1.0] * (logits.shape[1] - 1))
        loss = loss + 3 * cross_entropy(logits, batch["cells"][:, index], weight=weight)
    return loss


def attribute_accuracy(model: Blip2ForConditionalGeneration, heads: AttributeHeads) -> str:
    """Shares of attributes right on 256 held-out scenes, and of scenes with all of them right."""
    rng = random.Random("attribute accuracy")
    scenes = [sample_held_out_scene(rng) for _ in range(256)]
    with torch.no_grad():
        attributes, _ = heads(
            model, torch.from_numpy(np.stack([np.asarray(draw_scene(scene, rng)) for scene in scenes]))
        )
    labels = torch.tensor([attribute_labels(scene) for scene in scenes])
    right = torch.stack([logits.argmax(-1) for logits in attributes], dim=1) == labels
    each = [round(share, 3) for share in right.float().mean(0).tolist()]
    return f"held-out scenes: all attributes {right.all(1).float().mean():.3f}, each {each}"


class Captions(torch.utils.data.IterableDataset):
    """Batches of images with English prompts (image tokens in front) and targets, never repeating."""

    def __init__(self, seed: int, tokenizer: PreTrainedTokenizerFast, image_token_id: int) -> None:
        self.seed, self.tokenizer, self.image_token_id = seed, tokenizer, image_token_id

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        rng = random.Random(self.seed)
        while True:
            scenes = [sample_training_scene(rng) for _ in range(BATCH_SIZE)]
            images = torch.from_numpy(np.stack([np.asarray(draw_scene(scene, rng)) for scene in scenes]))
            prompts, targets = zip(*(draw_prompt(scene, rng) for scene in scenes), strict=True)
            inputs = prompt_tensors(self.tokenizer, prompts, self.image_token_id)
            targets = [torch.tensor(ids) for ids in self.tokenizer(list(targets))["input_ids"]]
            labels = pad_sequence(targets, batch_first=True, padding_value=IGNORED)
            yield {"images": images, **inputs, "labels": labels}


def draw_prompt(scene: Scene, rng: random.Random) -> tuple[str, str]:
    """An English template of prompts.py with its target: the caption, or the answer to a question."""
    asked = questions(scene, "en")
    if asked and rng.random() < QUESTION_SHARE:
        drawn = rng.choice(asked)
        return rng.choice(TASKS["vqa"].templates).text.format(
            language="English", question=drawn.question
        ), drawn.answer
    return rng.choice(TASKS["captioning"].templates).text.format(language="English"), caption(scene, "en")


def prompt_tensors(
    tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str], image_token_id: int
) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask` (B, T) of prompts behind the image tokens of one image."""
    ids = [torch.tensor([image_token_id] * NUM_QUERY_TOKENS + ids) for ids in tokenizer(list(prompts))["input_ids"]]
    mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
    return {"input_ids": pad_sequence(ids, batch_first=True, padding_value=0), "attention_mask": mask}


def caption_accuracy(model: Blip2ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> str:
    """Exact matches of English captions on 256 held-out scenes."""
    rng = random.Random("caption accuracy")
    scenes = [sample_held_out_scene(rng) for _ in range(256)]
    images = torch.from_numpy(np.stack([np.asarray(draw_scene(scene, rng)) for scene in scenes]))
    prompt = TASKS["captioning"].templates[0].text.format(language="English")
    inputs = prompt_tensors(tokenizer, [prompt] * len(scenes), model.config.image_token_index)
    model.eval()
    with torch.no_grad():
        ids = model.generate(pixel_values=pixel_values(images), **inputs, max_new_tokens=24, do_sample=False)
    model.train()
    said = tokenizer.batch_decode(ids, skip_special_tokens=True)
    right = [text.strip() == caption(scene, "en") for text, scene in zip(said, scenes, strict=True)]
    return f"held-out scenes: {sum(right) / len(right):.3f} captions right"


def build_english_blip2(
    language_model: T5ForConditionalGeneration, image_token_id: int
) -> Blip2ForConditionalGeneration:
    """A BLIP-2 with random ViT and Q-Former around `language_model`."""
    layers = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_attention_heads": 4}
    config = Blip2Config(
        vision_config=layers
        | {
            "num_hidden_layers": 4,
            "image_size": IMAGE_SIZE,
            "patch_size": CELL_PIXELS,
            "initializer_range": 0.02,
        },
        qformer_config=layers
        | {
            "num_hidden_layers": 2,
            "encoder_hidden_size": WIDTH,
            "cross_attention_frequency": 1,
            "vocab_size": 2,
            "max_position_embeddings": 2,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
        text_config=language_model.config.to_dict(),
        num_query_tokens=NUM_QUERY_TOKENS,
        image_token_index=image_token_id,
    )
    model = Blip2ForConditionalGeneration(config)
    model.language_model.load_state_dict(language_model.state_dict())
    nn.init.normal_(model.query_tokens, std=0.02)
    with torch.no_grad():
        model.vision_model.embeddings.position_embedding.copy_(place_embedding())
    return model.train()


def place_embedding() -> torch.Tensor:
    """Sines and cosines of row and column of each patch (1, 1 + 64, WIDTH), zeros for the class token.

    The position embedding is trained from here; from small random values, left and above stayed alike for long.
    """
    rows, columns = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
    frequencies = torch.pi / GRID * torch.arange(1, WIDTH // 4 + 1) / 4
    waves = [
        wave(position.reshape(-1, 1) * frequencies) for position in (rows, columns) for wave in (torch.sin, torch.cos)
    ]
    return 0.5 * torch.cat([torch.zeros(1, WIDTH), torch.cat(waves, dim=1)])[None]
