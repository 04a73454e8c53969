"""What `mblip encode` computes for a recipe, and how training and evaluation find it again.

A stage reads the output of the last part that is still as it was at the start: of the Q-Former (`query_features`) if
only the projection has trained up to its end, otherwise of the image encoder (`vision_features`). The evaluation
reads what the last stage reads. Images as they are have one feature set for all stages; augmented images have one for
each stage, whose seed determines the draws.

The identity of a set holds digests of weights as they are loaded, so a copy or another layout of the same weights may
use it. Reading the image encoder only for its digest would take the memory that we save. So a set also records size
and time of the files that its weights come from. Only if these differ do we load them to compare the digest.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image as PILImage
from torch import nn
from transformers import PreTrainedConfig
from xxhash import xxh3_128_hexdigest

from mblip.atomic_write import read_json
from mblip.data import InterleavedRows, TrainingRows
from mblip.data.augmentation import Augmentation
from mblip.data.features import FEATURES_FILE, FILES, FeatureInput, FeatureSet, Identity, image_key
from mblip.data.interleaving import InterleavedStreams
from mblip.data.recipes.strict_loading import to_plain
from mblip.data.token_ids import Processor
from mblip.evaluation import EvaluationTask
from mblip.evaluation.model_inputs import distinct_images
from mblip.evaluation.recipe import DtypeName
from mblip.evaluation.run_identity import digest_weights
from mblip.loading import Precision, has_bf16, load_tower, tower_files, without_adapter
from modeling_mblip import MBlipForConditionalGeneration

from .options import TrainingOptions
from .rows import Rows
from .run_folder import Run, StageRun
from .starting_model import Model

PROBE_SIZES = ((256, 256), (97, 61))  # (width, height): a square, and an image that is cropped or padded to one
# Entries of a configuration that change no output
NO_SETTINGS = {"_name_or_path", "architectures", "dtype", "initializer_range", "transformers_version"}


@dataclass(frozen=True)
class SetPlan:
    """A feature set that a recipe needs.

    Args:
        input: the model's input that the features are.
        stages: the stages whose training images are in it.
        augmentation: of these images, in `augmentations` draws by `seed`; None: the images as they are.
        has_evaluation: whether the images of the recipe's evaluation are in it.
    """

    folder: Path
    input: FeatureInput
    stages: tuple[StageRun, ...]
    augmentation: Augmentation | None
    augmentations: int | None
    has_evaluation: bool

    @property
    def dtype(self) -> torch.dtype | None:
        """That of mixed precision, in which the projection takes query features; None: as the model gives them."""
        precisions = {mixed_precision(stage.training) for stage in self.stages}
        is_one = self.input == "query_features" and len(precisions) == 1
        return precisions.pop() if is_one else None


def mixed_precision(training: TrainingOptions) -> torch.dtype | None:
    """The dtype of a stage's mixed precision; None without one."""
    if training.get("fp16"):
        return torch.float16
    return torch.bfloat16 if training.get("bf16", has_bf16()) else None


def input_of_stage(run: Run, number: int) -> FeatureInput:
    """The model's input that a stage reads. It is valid until the part that makes it trains."""
    so_far = {stage.recipe.stage for stage in run.stages[: number + 1]}
    return "query_features" if so_far == {"warm_up"} else "vision_features"


def folder_of_stage(run: Run, number: int) -> Path:
    """The folder of a stage's feature set."""
    stage, name = run.stages[number], input_of_stage(run, number)
    return folder_of_features(run) / (name if stage.data.augmentation is None else f"{name}_{stage.folder.name}")


def folder_of_evaluation(run: Run) -> Path:
    """The folder of the feature set of the recipe's evaluation."""
    return folder_of_features(run) / input_of_stage(run, len(run.stages) - 1)


def folder_of_features(run: Run) -> Path:
    """The `features.path` of a recipe that has one."""
    assert run.recipe.features is not None  # callers ask for features
    return run.recipe.features.path


def plan_sets(run: Run) -> list[SetPlan]:
    """The feature sets that a recipe needs."""
    plans: dict[Path, SetPlan] = {}
    assert run.recipe.features is not None  # callers ask for features
    for number, stage in enumerate(run.stages):
        augmentation, folder = stage.data.augmentation, folder_of_stage(run, number)
        num_draws = None if augmentation is None else run.recipe.features.augmentations
        plan = SetPlan(folder, input_of_stage(run, number), (), augmentation, num_draws, False)
        found = plans.get(folder, plan)
        plans[folder] = dataclasses.replace(found, stages=(*found.stages, stage))
    if run.recipe.evaluation is not None:
        folder, name = folder_of_evaluation(run), input_of_stage(run, len(run.stages) - 1)
        found = plans.get(folder, SetPlan(folder, name, (), None, None, False))
        plans[folder] = dataclasses.replace(found, has_evaluation=True)
    return list(plans.values())


def plan_evaluation(folder: Path) -> SetPlan:
    """The feature set of an evaluation alone, in the folder of `mblip encode`. An existing one decides what it is."""
    names: tuple[FeatureInput, ...] = ("vision_features", "query_features")
    name = next((name for name in names if (folder / name / FEATURES_FILE).is_file()), names[0])
    return SetPlan(folder / name, name, (), None, None, has_evaluation=True)


def rows_once(rows: Rows) -> Iterator[Mapping[str, Any]]:
    """Every row of a stage's data once, whatever the weights of its sources."""
    if isinstance(rows, InterleavedRows | InterleavedStreams):
        for source in rows.sources if isinstance(rows, InterleavedRows) else rows.streams:
            yield from rows_once(source)
        return
    for row in rows if isinstance(rows, TrainingRows) else rows.one_pass(0):
        if row.get("turn", 0) == 0:
            yield row


def identity_of(
    plan: SetPlan, model: MBlipForConditionalGeneration, processor: Processor, encoder: str, dtype: torch.dtype
) -> Identity:
    """The identity of a feature set.

    Args:
        model: with the Q-Former as it is at the start.
        encoder: the digest of the image encoder, see `digest_encoder`.
        dtype: that of the image encoder.
    """
    identity = {"input": plan.input, "image encoder": encoder}
    if plan.input == "query_features":
        parts = nn.ModuleDict({name: model.get_submodule(name) for name in ("query_tokens", "qformer")})
        identity |= {"Q-Former": digest_weights(parts)}
        dtype = plan.dtype or torch.float32
    is_augmented = plan.augmentation is not None
    return identity | {
        "image processor": _describe_processor(processor),
        "dtype": str(dtype).removeprefix("torch."),
        "augmentation": to_plain(plan.augmentation),
        "augmentations": plan.augmentations,
        "seed": plan.stages[0].seed if is_augmented else None,
    }


def digest_encoder(encoder: nn.Module, config: PreTrainedConfig) -> str:
    """A digest of an image encoder's weights, as they are loaded, and of its configuration."""
    settings = {name: value for name, value in config.to_diff_dict().items() if name not in NO_SETTINGS}
    return _digest(json.dumps(settings, sort_keys=True, default=str).encode() + digest_weights(encoder).encode())


def _describe_processor(processor: Processor) -> str:
    """The size of `pixel_values`, and a digest of what becomes of two images."""
    probes = [PILImage.radial_gradient("L").resize(size).convert("RGB") for size in PROBE_SIZES]
    found = [processor(images=[probe], return_tensors="pt")["pixel_values"] for probe in probes]
    sizes = " and ".join(dict.fromkeys("x".join(map(str, pixels.shape[2:])) for pixels in found))
    return f"{sizes} pixels, digest {_digest(b''.join(pixels.numpy().tobytes() for pixels in found))}"


def _digest(content: bytes) -> str:
    return xxh3_128_hexdigest(content)


@dataclass(frozen=True)
class RunFeatures:
    """The feature sets of a run's stages and of its evaluation; None without `features`."""

    of_stages: tuple[FeatureSet | None, ...]
    of_evaluation: FeatureSet | None


def open_features(run: Run, model: Model, processor: Processor, tasks: Sequence[EvaluationTask]) -> RunFeatures:
    """Step 2 of train.py: the features that the run's recipe names, for the model that it starts from.

    Raises:
        ValueError: they are missing, not finished or damaged, or those of another model, processor or augmentation; or
            an image of the evaluation has none; or it shows a grey image.
    """
    if run.recipe.features is None:
        return RunFeatures(tuple(None for _ in run.stages), None)
    if shows_grey_image(tasks):
        raise ValueError(
            "Found `rank_by: calibrated` in a recipe with `features`, which hold no grey image. Take another "
            "`rank_by`, or rank with the finished model: `mblip eval`."
        )
    plans, bare, dtype = plan_sets(run), without_adapter(model), dtype_of(run.recipe.model.dtype)
    encoder = find_encoder([plan.folder for plan in plans], bare, dtype)
    sets = {plan.folder: FeatureSet(plan.folder, identity_of(plan, bare, processor, encoder, dtype)) for plan in plans}
    of_stages = tuple(sets[folder_of_stage(run, number)] for number in range(len(run.stages)))
    of_evaluation = sets.get(folder_of_evaluation(run)) if tasks else None
    if of_evaluation is not None:
        check_encoded(of_evaluation, tasks)
    return RunFeatures(of_stages, of_evaluation)


def open_evaluation_features(
    folder: Path,
    model: MBlipForConditionalGeneration,
    processor: Processor,
    dtype: DtypeName,
    tasks: Sequence[EvaluationTask],
) -> FeatureSet:
    """The features in a `features.path` for an evaluation of a model that was loaded without its image encoder.

    Raises:
        ValueError: as `open_features`.
    """
    plan = plan_evaluation(folder)
    encoder = find_encoder([plan.folder], model, dtype_of(dtype))
    identity = dict(identity_of(plan, model, processor, encoder, dtype_of(dtype)))
    if plan.input == "query_features":
        del identity["dtype"]  # it depends on the training's precision
    features = FeatureSet(plan.folder, identity)
    check_encoded(features, tasks)
    return features


def shows_grey_image(tasks: Sequence[EvaluationTask]) -> bool:
    """Whether answers are ranked less their likelihood with a grey image, for which the image encoder runs."""
    return any(task.answering == "rank" and task.rank_by == "calibrated" for task in tasks)


def check_encoded(features: FeatureSet, tasks: Sequence[EvaluationTask]) -> None:
    """Raise ValueError if an image of the tasks has no features. The message names it."""
    for task in tasks:
        for image, name in distinct_images(task.examples)[0]:
            features.row_of(image_key(image, name=name), f"{task.name}: {name}")


def find_encoder(folders: Sequence[Path], model: MBlipForConditionalGeneration, dtype: torch.dtype) -> str:
    """The digest of the image encoder of a model that was loaded without it.

    It is known if its files are those that a feature set was made from. Otherwise we load it alone.
    """
    files = tower_files(model)
    for folder in folders:
        if (folder / FEATURES_FILE).is_file():
            found = read_json(folder / FEATURES_FILE, f"Delete {folder}, and run `mblip encode` again.")
            if found.get(FILES) == files:
                return str(found["image encoder"])
    return digest_encoder(load_tower(model, dtype), model.config.vision_config)


def dtype_of(name: DtypeName) -> torch.dtype:
    """The dtype of the image encoder, by the name in a recipe."""
    dtype = Precision.named(name).dtype
    assert isinstance(dtype, torch.dtype)  # a recipe's "auto" depends on the hardware
    return dtype
