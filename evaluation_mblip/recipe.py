"""What an evaluation recipe says: the schema of the YAML, as frozen dataclasses.

A training recipe holds an `EvaluationRecipe` under `evaluation`; a recipe of eval.py is an `EvaluationRun`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from data_mblip.languages import get_language
from data_mblip.scenes.languages import SCENE_LANGUAGES
from data_mblip.sources.babel_imagenet import BabelImageNet, HoldOut, Split

from .runner import RunSettings
from .task import EvaluationTask
from .tasks.babel_imagenet import babel_imagenet_task
from .tasks.scenes import SceneCondition, scenes_task
from .wordings import WordingChoice

DtypeName = Literal["auto", "float32", "bfloat16"]
LoadIn = Literal["8bit", "4bit"]


@dataclass(frozen=True)
class ScenesRecipe:
    """The drawn world; see `tasks/scenes.py`."""

    languages: tuple[str, ...] = SCENE_LANGUAGES
    num_images: int = 200
    seed: int = 0
    conditions: tuple[SceneCondition, ...] = ("as_is", "shuffled")
    wording: WordingChoice = "first"

    def __post_init__(self) -> None:
        _check_languages(self.languages)

    def build(self) -> EvaluationTask:
        """The task, with its pictures drawn."""
        return scenes_task(
            languages=self.languages,
            num_images=self.num_images,
            seed=self.seed,
            conditions=self.conditions,
            wording=self.wording,
        )


@dataclass(frozen=True)
class BabelImageNetRecipe:
    """Naming photos; see `tasks/babel_imagenet.py`. `languages` None takes every one that has labels; the fields of
    the hold-out are those of training."""

    photos: Path
    labels: Path
    languages: tuple[str, ...] | None = None
    splits: tuple[Split, ...] = ("train", "held_out")
    held_out_share: float = 0.1
    held_out_by_language: bool = True
    held_out_seed: int = 0
    wording: WordingChoice = "first"
    wording_seed: int | None = None
    shuffled: bool = False

    def __post_init__(self) -> None:
        _check_languages(self.languages or ())

    def build(self) -> EvaluationTask:
        """The task, with photos and labels read."""
        hold_out = HoldOut(self.held_out_share, self.held_out_by_language, self.held_out_seed)
        photos = BabelImageNet.read(self.photos, self.labels, languages=self.languages)
        return babel_imagenet_task(
            photos,
            hold_out=hold_out,
            splits=self.splits,
            wording=self.wording,
            wording_seed=self.wording_seed,
            shuffled=self.shuffled,
        )


@dataclass(frozen=True)
class EvaluationRecipe:
    """The tasks to run, and how."""

    scenes: ScenesRecipe | None = None
    babel_imagenet: BabelImageNetRecipe | None = None
    settings: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        if self.scenes is None and self.babel_imagenet is None:
            raise ValueError("expected at least one task: `scenes` or `babel_imagenet`.")

    def build_tasks(self) -> list[EvaluationTask]:
        """The tasks with their examples.

        Raises:
            ValueError: a task's data cannot be read.
        """
        return [recipe.build() for recipe in (self.scenes, self.babel_imagenet) if recipe is not None]


@dataclass(frozen=True)
class EvaluationRun:
    """A recipe of eval.py: `model` is a folder or Hub name; results go to `output_dir`.

    `dtype` is what ViT and language model are held in, "auto" what the hardware has; `load_in` quantises the language
    model (4 bit: nf4).
    """

    model: str
    output_dir: Path
    evaluation: EvaluationRecipe
    dtype: DtypeName = "auto"
    load_in: LoadIn | None = None


def _check_languages(codes: tuple[str, ...]) -> None:
    """Raises ValueError for an unknown code, a repeated one, or none where some are needed."""
    for code in codes:
        get_language(code)
    repeated = sorted({code for code in codes if codes.count(code) > 1})
    if repeated:
        raise ValueError(f"`languages` names {', '.join(repeated)} more than once. Keep one of each.")
