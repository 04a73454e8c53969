"""Encode the images of a recipe once, so that training and evaluation need no image encoder.

    mblip encode RECIPE [--field value ...]                   the command line of the `mblip train` that follows
    mblip encode MODEL --task NAME ... --features FOLDER      that of the `mblip eval` that follows, or its RECIPE
    torchrun --nproc_per_node 2 -m mblip encode RECIPE        the same features, by two processes

A training recipe says `features: {path: FOLDER}`. With `data.augmentation`, `features.augmentations: k` says how many
draws of each image are encoded. The features of each distinct image are computed once, for the training data of all
stages and for `evaluation`. If the command is killed, run it again: it continues.
"""

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image as PILImage

from mblip.atomic_write import LOCK_FILE, locked
from mblip.data.augmentation import augment_in_epoch, is_flip_safe
from mblip.data.collator import images_of_row
from mblip.data.example import row_name
from mblip.data.features import (
    FeatureSet,
    FeatureWriter,
    augmented_keys,
    begin_set,
    encoded_keys,
    finish_set,
    image_key,
)
from mblip.data.images import Image, StoredImage, open_image
from mblip.data.recipes.yaml_values import read_yaml
from mblip.data.token_ids import Processor
from mblip.evaluation import EvaluationTask
from mblip.evaluation import command_line as evaluation_command_line
from mblip.evaluation.processes import (
    is_main_process,
    num_processes,
    process_group,
    rank,
    starts_as_main,
    wait_for_all,
)
from mblip.evaluation.recipe import EvaluationRun
from mblip.loading import Precision, load_checkpoint, tower_files, without_adapter
from mblip.recipes import find_recipe, recipe_names
from mblip.training.encoding import (
    SetPlan,
    digest_encoder,
    dtype_of,
    identity_of,
    plan_evaluation,
    plan_sets,
    rows_once,
)
from mblip.training.evaluation import build_tasks
from mblip.training.recipe_reading import parse_command_line
from mblip.training.rows import build_rows, check_paths
from mblip.training.run_folder import Run
from mblip.training.starting_model import build_model
from modeling_mblip import MBlipForConditionalGeneration

BATCH_SIZE = 32  # images at once in the image encoder
REPORT_SECONDS = 60.0
Opened = Callable[[], PILImage.Image]


def main(arguments: Sequence[str]) -> None:
    if _is_training(arguments):
        encode_training(Run(parse_command_line(arguments)))
    else:
        encode_evaluation(evaluation_command_line.parse_command_line(arguments))


def encode_training(run: Run) -> None:
    """Encode the images of a training recipe: of all its stages, and of its evaluation.

    Raises:
        ValueError: an image cannot be read (the message names it), or there are features of another identity.
        OSError: the disk is too small.
    """
    if run.recipe.features is None:
        raise ValueError("The recipe has no `features`, expected the folder for them: `--features.path FOLDER`.")
    with _alone_in(run.recipe.features.path) as device:
        for stage in run.stages:
            check_paths(stage.data)
        tasks = build_tasks(run.recipe)
        recipe = dataclasses.replace(run.recipe.model, load_in=None)  # the language model does not run
        model, processor = build_model(recipe, run.recipe.seed)
        _encode(plan_sets(run), tasks, without_adapter(model), processor, dtype_of(recipe.dtype), device)


def encode_evaluation(run: EvaluationRun) -> None:
    """Encode the images of a recipe of `mblip eval`. Raises as `encode_training`."""
    if run.features is None:
        raise ValueError("Found no folder for the features of this evaluation: `--features FOLDER`.")
    with _alone_in(run.features) as device:
        tasks = run.evaluation.build_tasks()
        model, processor = load_checkpoint(run.model, Precision.named(run.dtype))
        _encode([plan_evaluation(run.features)], tasks, model, processor, dtype_of(run.dtype), device)


def _is_training(arguments: Sequence[str]) -> bool:
    """Whether a command line names a training recipe. Otherwise it is one of `mblip eval`."""
    name = next(iter(arguments), "")
    if not name.endswith(evaluation_command_line.RECIPE_SUFFIXES) and name not in recipe_names():
        return not name or name.startswith("--")  # no recipe, as the parser will say
    found = read_yaml(find_recipe(name)).value
    return isinstance(found, dict) and "stages" in found


@contextmanager
def _alone_in(folder: Path) -> Iterator[torch.device]:
    """Lock the folder, for all processes, and join these. Yields the device of this process."""
    with locked(folder, LOCK_FILE, "encoding into") if starts_as_main() else nullcontext(), process_group() as device:
        yield device


def _encode(
    plans: Sequence[SetPlan],
    tasks: Sequence[EvaluationTask],
    model: MBlipForConditionalGeneration,
    processor: Processor,
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    """Write the feature sets, one after the other. `dtype` is that of the image encoder.

    The image encoder's come first, and the Q-Former reads them.
    """
    model.requires_grad_(False)
    model.language_model.to("meta")  # frees its memory
    encoder, files = digest_encoder(model.vision_model, model.config.vision_config), tower_files(model)
    for part in (model.vision_model, model.query_tokens, model.qformer):
        part.to(device)
    encoded: FeatureSet | None = None
    for plan in sorted(plans, key=lambda plan: plan.input == "query_features"):
        identity = identity_of(plan, model, processor, encoder, dtype)
        if is_main_process():
            begin_set(plan.folder, identity, files)
        wait_for_all()
        _Encoding(plan, tasks, model, processor, device).run(encoded if plan.augmentation is None else None)
        wait_for_all()
        if is_main_process():
            finish_set(plan.folder)
        wait_for_all()
        if plan.input == "vision_features" and plan.augmentation is None:
            encoded = FeatureSet(plan.folder, identity)


class _Encoding:
    """A feature set under way, on one process. The key of an image decides which process encodes it."""

    def __init__(
        self,
        plan: SetPlan,
        tasks: Sequence[EvaluationTask],
        model: MBlipForConditionalGeneration,
        processor: Processor,
        device: torch.device,
    ) -> None:
        self.plan, self.tasks = plan, tasks
        self.model, self.processor, self.device = model, processor, device
        self.rows = [(build_rows(stage.data, stage.seed), stage.seed) for stage in plan.stages]

    def run(self, encoded: FeatureSet | None) -> None:
        """Encode what no earlier run of the command has, and report.

        Args:
            encoded: what the image encoder made of some of the images, for a set of the Q-Former's.
        """
        done = encoded_keys(self.plan.folder)
        wanted = {key for key, _ in self.images()}
        blank = torch.zeros_like(self.pixel_values([lambda: PILImage.new("RGB", (64, 64))]))
        bytes_per_image = self.features(blank).nbytes
        left = wanted - done
        self.check_room(len(left) * bytes_per_image)
        if is_main_process():
            print(
                f"{self.plan.folder}: {len(wanted):,} images of {bytes_per_image:,} bytes, "
                f"{len(wanted) * bytes_per_image / 2**30:,.2f} GiB; {len(wanted) - len(left):,} are there.",
                flush=True,
            )
        mine = {key for key in left if int.from_bytes(key[:4]) % num_processes() == rank()}
        left_of_mine, start = len(mine), time.monotonic()
        last = start
        with FeatureWriter(self.plan.folder, bytes_per_image) as writer:
            for keys, features in chain(self.from_encoded(mine, encoded), self.from_images(mine, encoded)):
                writer.add(keys, features)
                left_of_mine -= len(keys)
                if is_main_process() and time.monotonic() - last > REPORT_SECONDS:
                    last = time.monotonic()
                    print(f"{left_of_mine:,} images of this process are left.", flush=True)
        wait_for_all()
        if is_main_process() and left:
            seconds = time.monotonic() - start
            print(f"{len(left):,} images in {seconds:,.0f} s: {len(left) / seconds:,.1f} images/s.", flush=True)

    def images(self) -> Iterator[tuple[bytes, Opened]]:
        """Every image of the set with its key, some more than once."""
        for rows, seed in self.rows:
            for row in rows_once(rows):
                yield from self.images_of_row(row, seed)
        for task in self.tasks if self.plan.has_evaluation else ():
            shown = {example.image_id: example.images for example in task.examples}
            for image_id, images in shown.items():
                name = f"Image set {image_id!r}"
                for image in images:
                    yield image_key(image, name=name), partial(open_image, image, name=name)

    def images_of_row(self, row: Mapping[str, Any], seed: int) -> Iterator[tuple[bytes, Opened]]:
        """The images of a row as they are, or all draws of them."""
        images, name = images_of_row(row), row_name(row)
        keys = [image_key(image, name=name) for image in images]
        augmentation = self.plan.augmentation
        if augmentation is None:
            for key, image in zip(keys, images, strict=True):
                yield key, partial(open_image, image, name=name)
            return
        may_flip = is_flip_safe(row, augmentation)
        for draw in range(self.plan.augmentations or 1):
            for number, key in enumerate(augmented_keys(keys, row, augmentation, draw)):
                yield (
                    key,
                    partial(
                        _augmented, images[number], row, number, augmentation, seed=seed, epoch=draw, may_flip=may_flip
                    ),
                )

    @torch.no_grad()
    def from_encoded(
        self, wanted: set[bytes], encoded: FeatureSet | None
    ) -> Iterator[tuple[list[bytes], torch.Tensor]]:
        """What the Q-Former makes of the image encoder's features."""
        keys = [] if encoded is None else [key for key in sorted(wanted) if key in encoded]
        for start in range(0, len(keys), BATCH_SIZE):
            batch = keys[start : start + BATCH_SIZE]
            assert encoded is not None
            vision_features = encoded.read(batch, [key.hex() for key in batch]).to(self.device)
            yield batch, self.query_features(vision_features)[: len(batch)].cpu()

    def from_images(
        self, wanted: set[bytes], encoded: FeatureSet | None
    ) -> Iterator[tuple[list[bytes], torch.Tensor]]:
        """The features of images that are not in `encoded`."""
        missing = wanted if encoded is None else {key for key in wanted if key not in encoded}
        for keys, pixel_values in self.batches(missing):
            yield keys, self.features(pixel_values)

    def batches(self, wanted: set[bytes]) -> Iterator[tuple[list[bytes], torch.Tensor]]:
        """Batches of the wanted images, each once. A thread prepares the next one."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            images = self.wanted_images(set(wanted))
            ahead: Future[torch.Tensor] | None = None
            keys: list[bytes] = []
            while batch := list(islice(images, BATCH_SIZE)):
                preparing = pool.submit(self.pixel_values, [opened for _, opened in batch])
                if ahead is not None:
                    yield keys, ahead.result()
                keys, ahead = [key for key, _ in batch], preparing
            if ahead is not None:
                yield keys, ahead.result()

    def wanted_images(self, left: set[bytes]) -> Iterator[tuple[bytes, Opened]]:
        """The wanted images, each once. What comes is taken out of `left`."""
        for key, opened in self.images():
            if key in left:
                left.remove(key)
                yield key, opened

    def pixel_values(self, opened: Sequence[Opened]) -> torch.Tensor:
        """The images as the image encoder takes them, (I, 3, H, W)."""
        return self.processor(images=[each() for each in opened], return_tensors="pt")["pixel_values"]

    @torch.no_grad()
    def features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """What the set holds of images, (I, P, H) or (I, Q, W)."""
        features = self.model.encode_vision(_at_least_two(pixel_values).to(self.device))
        if self.plan.input == "query_features":
            features = self.query_features(features)
        return features[: len(pixel_values)].cpu()

    def query_features(self, vision_features: torch.Tensor) -> torch.Tensor:
        return self.model.query_images(_at_least_two(vision_features)).to(self.plan.dtype)

    def check_room(self, num_bytes: int) -> None:
        """Raise OSError if the disk has no room for the features."""
        if (free := shutil.disk_usage(self.plan.folder).free) < num_bytes:
            raise OSError(
                f"{self.plan.folder} needs {num_bytes / 2**30:,.2f} GiB more, but {free / 2**30:,.2f} GiB are free. "
                "Make room, give a `features.path` on another disk, or lower `features.augmentations`."
            )


def _at_least_two(images: torch.Tensor) -> torch.Tensor:
    """A lone image twice: some convolutions have other last bits for one image than for several."""
    return images if len(images) > 1 else torch.cat([images, images])


def _augmented(
    image: Image | StoredImage, row: Mapping[str, Any], number: int, *args: Any, **named: Any
) -> PILImage.Image:
    """Image `number` of a row, opened and augmented. See `augment_in_epoch`."""
    return augment_in_epoch(open_image(image, name=row_name(row)), row, number, *args, **named)
