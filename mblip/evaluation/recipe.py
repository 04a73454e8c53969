"""What an evaluation recipe says: the schema of the YAML, as frozen dataclasses.

A training recipe holds an `EvaluationRecipe` under `evaluation`; a recipe of eval.py is an `EvaluationRun`.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, Protocol

from mblip.data.recipes.strict_loading import convert
from mblip.data.recipes.yaml_values import read_yaml

from .protocol import Setup
from .runner import RunSettings
from .task import EvaluationTask
from .tasks.babel_imagenet import BabelImageNetRecipe
from .tasks.chair import ChairRecipe
from .tasks.coco_karpathy import CocoKarpathyRecipe
from .tasks.marvl import MarvlRecipe
from .tasks.maxm import MaxmRecipe
from .tasks.nlvr2 import Nlvr2Recipe
from .tasks.pope import PopeRecipe
from .tasks.scene_counts import SceneCountsRecipe
from .tasks.scenes import ScenesRecipe
from .tasks.vqav2 import Vqav2Recipe
from .tasks.xflickrco import XflickrcoRecipe
from .tasks.xgqa import XgqaRecipe
from .tasks.xm3600 import Xm3600Recipe
from .tasks.xvnli import XvnliRecipe

DtypeName = Literal["auto", "float32", "bfloat16"]
LoadIn = Literal["8bit", "4bit"]


class Benchmark(Protocol):
    """What a recipe says of a benchmark."""

    def build(self, setup: Setup) -> EvaluationTask: ...


@dataclass(frozen=True)
class EvaluationRecipe:
    """The benchmarks to run, and how. Each field but the last two is a benchmark, described in its file of tasks/."""

    scenes: ScenesRecipe | None = None
    scene_counts: SceneCountsRecipe | None = None
    babel_imagenet: BabelImageNetRecipe | None = None
    xm3600: Xm3600Recipe | None = None
    xflickrco: XflickrcoRecipe | None = None
    coco_karpathy: CocoKarpathyRecipe | None = None
    xgqa: XgqaRecipe | None = None
    vqav2: Vqav2Recipe | None = None
    maxm: MaxmRecipe | None = None
    xvnli: XvnliRecipe | None = None
    marvl: MarvlRecipe | None = None
    nlvr2: Nlvr2Recipe | None = None
    pope: PopeRecipe | None = None
    chair: ChairRecipe | None = None
    setup: Setup = field(default_factory=Setup)
    settings: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        if not self._benchmarks():
            raise ValueError(f"expected at least one task: {', '.join(BENCHMARKS)}.")

    def build_tasks(self) -> list[EvaluationTask]:
        """The tasks with their examples.

        Raises:
            ValueError: a task's data cannot be read.
        """
        return [benchmark.build(self.setup) for benchmark in self._benchmarks()]

    def _benchmarks(self) -> list[Benchmark]:
        named = [getattr(self, name) for name in BENCHMARKS]
        return [benchmark for benchmark in named if benchmark is not None]


BENCHMARKS = tuple(entry.name for entry in fields(EvaluationRecipe) if entry.name not in ("setup", "settings"))


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


def read_evaluation_run(path: Path) -> EvaluationRun:
    """The recipe of eval.py in a YAML file; what is wrong in it is named with its line."""
    return convert(read_yaml(path), EvaluationRun, "", {})
