"""Peak memory that `mblip plan` predicts, beside that of trainings on this CPU. Needs Linux, and up to 6 GB.

    python benchmarks/plan_memory.py [--shapes NUMBER ...] [--default-allocator]

Each shape is two processes: one predicts, from its configuration, and one trains three steps of the same batch with
`MBlipTrainer` in fp32, from random weights. The measured figure is the high-water mark of the resident memory (VmHWM)
during the steps, less what the process held before it built its model. Freed memory returns to the kernel at once;
`--default-allocator` leaves glibc's malloc as it is, which keeps some.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
from model_shapes import Shape, cut_shape, with_full_vocabulary
from peak_memory import HIGHEST_SIZE, PRESENT_SIZE, RETURN_MEMORY_AT_ONCE, status_bytes
from transformers import TrainerCallback, TrainingArguments

from mblip.data import TrainingRows
from mblip.data.example import FEATURES
from mblip.planning.models import in_stage, meta_model
from mblip.planning.steps import BatchShape, training_step
from mblip.training.recipe import Stage, StageRecipe
from mblip.training.trainable import learning_rates, set_trainable
from mblip.training.trainer import MBlipTrainer
from modeling_mblip import MBlipForConditionalGeneration


@dataclass(frozen=True)
class Training:
    """A training to predict and to measure. `deeper` multiplies the language model's layers."""

    language_model: str
    stage: Stage
    batch: BatchShape
    num_vision_layers: int = 1
    has_full_vocabulary: bool = False
    is_checkpointed: bool = False
    num_accumulated: int = 1

    def shape(self) -> Shape:
        shape = cut_shape(self.language_model, self.num_vision_layers)
        return with_full_vocabulary(shape, self.language_model) if self.has_full_vocabulary else shape

    def arguments(self, folder: str) -> TrainingArguments:
        return TrainingArguments(
            output_dir=folder,
            use_cpu=True,
            max_steps=3,
            per_device_train_batch_size=1,
            gradient_accumulation_steps=self.num_accumulated,
            activation_checkpointing=self.is_checkpointed,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
        )

    def __str__(self) -> str:
        batch, vocabulary = self.batch, ", full vocabulary" if self.has_full_vocabulary else ""
        return (
            f"{self.language_model}, {self.num_vision_layers}/39 of its layers{vocabulary}, {self.stage}, "
            f"{batch.num_images} images, {batch.num_prompts} prompts of {batch.text_tokens} + {batch.target_tokens} "
            f"tokens{', checkpointed' if self.is_checkpointed else ''}"
            f"{f', {self.num_accumulated} batches accumulated' if self.num_accumulated > 1 else ''}"
        )


TRAININGS = (
    Training("mt0-xl", "warm_up", BatchShape(8, 16, 32, 32), 2),
    Training("mt0-xl", "re_alignment", BatchShape(4, 8, 32, 24)),
    Training("mt0-xl", "re_alignment", BatchShape(4, 16, 48, 24), 2, is_checkpointed=True),
    Training("mt0-xl", "full", BatchShape(4, 4, 32, 24), num_accumulated=2),
    Training("bloomz-7b1", "re_alignment", BatchShape(4, 8, 64, 32)),
    Training("bloomz-7b1", "warm_up", BatchShape(2, 8, 16, 48), has_full_vocabulary=True),
)


def predict(training: Training, folder: str) -> dict[str, Any]:
    started, config = time.perf_counter(), training.shape().ours()
    model = meta_model(config, torch.float32, load_in=None, is_head_untied=False)
    recipe = StageRecipe(stage=training.stage, learning_rate=1e-4, batch_size=1, max_steps=3)
    batch = training.batch.tensors(config)
    device = torch.device("cpu")
    cost = training_step(in_stage(model, recipe), batch, device, training.arguments(folder), is_autocast=False)
    return {"bytes": cost.peak_bytes, "seconds": time.perf_counter() - started, "parts": cost.memory}


def measure(training: Training, folder: str) -> dict[str, Any]:
    base, config = status_bytes(PRESENT_SIZE), training.shape().ours()
    torch.manual_seed(0)
    recipe = StageRecipe(stage=training.stage, learning_rate=1e-4, batch_size=1, max_steps=3)
    model = set_trainable(MBlipForConditionalGeneration(config), training.stage)
    batch = training.batch.tensors(config)
    row = {"images": [], "prompts": ["a"], "targets": ["b"], "languages": ["en"], "tasks": ["captioning"]}
    rows = [row | {"image_id": str(i), "sources": ["own"], "ids": [str(i)]} for i in range(16)]
    times = StepTimes()
    trainer = MBlipTrainer(
        model=model,
        args=training.arguments(folder),
        data_collator=lambda _: {name: tensor.clone() for name, tensor in batch.items()},
        train_dataset=TrainingRows(datasets.Dataset.from_list(rows, features=FEATURES)),
        rates=learning_rates(recipe),
    )
    trainer.add_callback(times)
    Path("/proc/self/clear_refs").write_text("5")
    trainer.train()
    return {"bytes": status_bytes(HIGHEST_SIZE) - base, "base": base, "seconds": times.seconds}


class StepTimes(TrainerCallback):
    """The seconds of each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, *arguments: Any, **others: Any) -> None:
        self.start = time.perf_counter()

    def on_step_end(self, *arguments: Any, **others: Any) -> None:
        self.seconds.append(time.perf_counter() - self.start)


def run_alone(what: str, number: int, environment: dict[str, str]) -> dict[str, Any]:
    finished = subprocess.run(
        [sys.executable, __file__, what, "--shapes", str(number)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return found


def main(command_line: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("predict", "measure"), help=argparse.SUPPRESS)
    parser.add_argument("--shapes", type=int, nargs="+", default=list(range(len(TRAININGS))), metavar="NUMBER")
    parser.add_argument("--default-allocator", action="store_true")
    arguments = parser.parse_args(command_line)
    if arguments.what:
        with tempfile.TemporaryDirectory() as folder:
            run = predict if arguments.what == "predict" else measure
            print(json.dumps(run(TRAININGS[arguments.shapes[0]], folder)))
        return
    environment = {} if arguments.default_allocator else RETURN_MEMORY_AT_ONCE
    print("| training | predicted | measured | ratio | process before | seconds to predict | step 2, step 3 |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for number in arguments.shapes:
        predicted, measured = (run_alone(what, number, environment) for what in ("predict", "measure"))
        _, second, third = measured["seconds"]
        print(
            f"| {TRAININGS[number]} | {predicted['bytes'] / 1e6:,.0f} MB | {measured['bytes'] / 1e6:,.0f} MB "
            f"| {predicted['bytes'] / measured['bytes']:.2f} | {measured['base'] / 1e6:,.0f} MB "
            f"| {predicted['seconds']:.1f} | {second:.1f} s, {third:.1f} s |",
            flush=True,
        )


if __name__ == "__main__":
    main()
