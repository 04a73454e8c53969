"""A whole training run at tiny size: two components on disk, a recipe that composes them, and `train.py` as a
command."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from mblip.data import write_rows
from mblip.data.recipes.yaml_values import write_yaml
from processing_mblip import MBlipImageProcessor, MBlipProcessor
from tests.tiny import DECODER_ONLY, IMAGE_SIZE, NUM_QUERY_TOKENS, VOCAB_SIZE, tiny_blip2, tiny_model, tiny_tokenizer

ROOT = Path(__file__).parents[2]


def write_components(folder: Path, family: str = "mt5", dropout: float = 0.0) -> None:
    """`folder/blip2`, a BLIP-2 checkpoint, and `folder/language_model`, a language model with its tokenizer."""
    tiny_blip2("t5").save_pretrained(folder / "blip2")
    MBlipProcessor(
        MBlipImageProcessor(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}),
        tiny_tokenizer(),
        num_query_tokens=NUM_QUERY_TOKENS,
        image_token_id=VOCAB_SIZE - 1,
    ).save_pretrained(folder / "blip2")
    changes = {"dropout_rate": dropout} if family in ("mt5", "t5") else {}
    text_config = tiny_model(family).config.text_config
    text_config.update(changes)
    tiny_model(family, text_config=text_config).language_model.save_pretrained(folder / "language_model")
    side = "left" if family in DECODER_ONLY else "right"
    tiny_tokenizer(padding_side=side).save_pretrained(folder / "language_model")


def tiny_recipe(folder: Path, **changes: Any) -> dict[str, Any]:
    """A recipe of both stages over the components in `folder`: 6 and 8 steps, a checkpoint every other step."""
    recipe = {
        "output_dir": str(folder / "out"),
        "seed": 7,
        "model": {"blip2": str(folder / "blip2"), "language_model": str(folder / "language_model")},
        "data": {
            "sources": [
                {"source": "scenes.source:scenes", "num_images": 20, "languages": ["en", "de"], "num_prompts": 2}
            ]
        },
        "stages": [
            {"stage": "warm_up", "max_steps": 6, "batch_size": 4, "learning_rate": 5e-3, "warmup_steps": 2},
            {
                "stage": "re_alignment",
                "max_steps": 8,
                "batch_size": 4,
                "learning_rate": 1e-3,
                "warmup_steps": 2,
                "lora": {"r": 2, "lora_dropout": 0.1},
            },
        ],
        "training": {"save_steps": 2, "logging_steps": 2},
    }
    return recipe | changes


def write_recipe(folder: Path, **changes: Any) -> Path:
    """`tiny_recipe` as a file."""
    path = folder / "recipe.yaml"
    path.write_text(write_yaml(tiny_recipe(folder, **changes)), encoding="utf-8")
    return path


def train_command(*arguments: str) -> list[str]:
    """The command line of `train.py` in this Python."""
    return [sys.executable, str(ROOT / "train.py"), *arguments]


def run_training(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `train.py` to its end."""
    return subprocess.run(
        train_command(*arguments), cwd=ROOT, env=offline(**environment), capture_output=True, text=True, check=False
    )


def offline(**environment: str) -> dict[str, str]:
    """This environment, without network and with one thread, so that sums come out the same."""
    return os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"} | environment


def write_tiny_rows(path: Path, num_rows: int = 24, text_only_from: int = 12) -> None:
    """Parquet rows with one image and two prompts each; those from `text_only_from` on have no image."""
    rows = [
        {
            "images": [Image.new("RGB", (40, 40), (10 * i, 255 - 10 * i, 128))] if i < text_only_from else [],
            "image_id": f"row-{i}",
            "prompts": ["Question: what colour", "Caption in English"],
            "targets": ["red" if i % 2 else "green", "a small star" if i % 3 else "two large circle"],
            "languages": ["en", "en"],
            "tasks": ["vqa", "captioning"],
            "sources": ["tiny", "tiny"],
            "ids": [f"{i}-0", f"{i}-1"],
        }
        for i in range(num_rows)
    ]
    write_rows(rows, path)


def torchrun(
    num_processes: int, *arguments: str, target: tuple[str, ...] = (str(ROOT / "train.py"),)
) -> subprocess.CompletedProcess[str]:
    """Run `train.py`, or another target, under torchrun.

    Its exit status says little: gloo sometimes aborts at exit, when all is done.
    """
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={num_processes}"]
    command += ["--standalone", *target, *arguments]
    return subprocess.run(command, cwd=ROOT, env=offline(), capture_output=True, text=True, check=False, timeout=600)
