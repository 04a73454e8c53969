"""What a recipe says: the schema of the YAML files in mblip/recipes/, as frozen dataclasses.

Keys, types and defaults are the fields below; `recipe_reading.py` reads files by them. The defaults of training are
those of the released checkpoints (code of gregor-ge/mBLIP, commit 0380e68). Paths are relative to the working
directory.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mblip.data.augmentation import Augmentation
from mblip.data.interleaving import check_weights
from mblip.data.languages import LanguageCode
from mblip.data.recipes.sources import Source
from mblip.data.training_rows import PromptChoice
from mblip.evaluation import EvaluationRecipe
from mblip.evaluation.recipe import DtypeName, LoadIn

from .trainable import Stage


@dataclass(frozen=True)
class ModelRecipe:
    """Where training begins: a checkpoint (`name_or_path`), or a composition of `blip2` and `language_model`.

    `dtype` is what ViT and language model are held in; "auto" is bfloat16 on a GPU that computes in it, else float32.
    What trains is float32 always. `load_in` quantises the language model (4 bit: nf4) while it trains; the
    finished model is not. `random_weights` keeps the shapes and forgets the weights: the baseline without parents.

    Where `name_or_path` is an adapter, its LoRA is trained further, with its image side; `adapter: fresh` merges it
    into its base first, and re-alignment begins a LoRA of its own.
    """

    name_or_path: str | None = None
    blip2: str | None = None
    language_model: str | None = None
    projection: Literal["random", "blip2"] = "random"
    dtype: DtypeName = "auto"
    load_in: LoadIn | None = None
    random_weights: bool = False
    adapter: Literal["fresh"] | None = None

    def __post_init__(self) -> None:
        is_composition = self.blip2 is not None and self.language_model is not None
        is_single = self.blip2 is None and self.language_model is None and self.name_or_path is not None
        if not (is_single or (is_composition and self.name_or_path is None)):
            raise ValueError(
                "found neither a checkpoint nor a composition, expected either `name_or_path` alone, or `blip2` and "
                "`language_model` together."
            )
        if self.adapter is not None and is_composition:
            raise ValueError("`adapter` says what becomes of an adapter given as `name_or_path`: take it out.")
        if self.load_in is not None and self.random_weights:
            raise ValueError("random weights are trained, and quantised ones cannot be: take `load_in` out.")


@dataclass(frozen=True)
class SourceRecipe(Source):
    """A source of examples, and how often it is drawn from beside the others."""

    weight: float = 1.0


COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class RowsRecipe:
    """Rows that `write_rows` or a build wrote: a parquet file, or a folder of them, or, with its `revision`, a dataset
    on the Hub; streamed, they are shuffled in a buffer. Of the rows, the prompts of `tasks` in `languages` from
    `sources`, if these are given.

    `revision` is a commit, by all its 40 digits, so that a resumed run reads the rows that it began with.

    `weight`: how often a row comes from here, beside the other rows of the recipe (mblip/data/interleaving.py).
    """

    path: str
    revision: str | None = None
    weight: float = 1.0
    tasks: frozenset[str] | None = None
    languages: frozenset[LanguageCode] | None = None
    sources: frozenset[str] | None = None
    streaming: bool = False
    shuffle_buffer_size: int = 1000

    def __post_init__(self) -> None:
        if self.revision is not None and not COMMIT.fullmatch(self.revision):
            raise ValueError(
                f"`revision` is {self.revision!r}, expected a commit of {self.path}, by all its 40 digits: the Hub "
                'shows them under "Files and versions".'
            )
        check_weights([self.weight])
        PromptChoice(self.tasks, self.languages, self.sources)  # raises for unknown ones


@dataclass(frozen=True)
class DataRecipe:
    """What is trained on: `sources`, mixed by weight into `num_examples` or, without it, one behind the other; or
    `rows` on disk, of one place or of several, drawn by weight.

    `prompts_per_image`: so many prompts of an image at most stand in one batch and share its pass through the ViT.
    """

    sources: tuple[SourceRecipe, ...] = ()
    num_examples: int | None = None
    rows: tuple[RowsRecipe, ...] = ()
    prompts_per_image: int = 4
    max_text_tokens: int = 128
    max_target_tokens: int = 128
    augmentation: Augmentation | None = None

    def __post_init__(self) -> None:
        if bool(self.sources) == bool(self.rows):
            raise ValueError("expected either `sources` or `rows`, and one of them.")
        if len({rows.streaming for rows in self.rows}) > 1:
            raise ValueError("some `rows` are streamed and others are not, expected all or none: set `streaming`.")
        if len(self.rows) == 1 and self.rows[0].weight != 1:
            raise ValueError("the `rows` have a weight, but there are no others beside them. Take it out.")
        if self.num_examples is None and any(source.weight != 1 for source in self.sources):
            raise ValueError("a source has a weight, but `num_examples`, the size of the mix, is missing.")

    @property
    def is_streamed(self) -> bool:
        """Whether the rows have no length."""
        return any(rows.streaming for rows in self.rows)


@dataclass(frozen=True)
class LoraRecipe:
    """LoRA on the language model, with its own peak learning rate."""

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.05
    learning_rate: float = 2e-4


@dataclass(frozen=True)
class StageRecipe:
    """One stage: what trains (`warm_up`: the projection; `re_alignment`: Q-Former, query tokens, projection, LoRA;
    `full`: everything), for how long, and how fast.

    `learning_rate` is that of projection, Q-Former and query tokens, and in `full` of everything. `batch_size`
    counts images (rows) of one optimizer step over all processes and accumulation steps, so that a step is the same on
    any number of them. `warmup_steps` below 1 are a share of all steps.
    """

    stage: Stage
    learning_rate: float
    batch_size: int
    max_steps: int | None = None
    num_epochs: float | None = None
    warmup_steps: float = 1000.0
    lora: LoraRecipe | None = None
    data: DataRecipe | None = None  # None: the recipe's

    def __post_init__(self) -> None:
        if (self.max_steps is None) == (self.num_epochs is None):
            raise ValueError("expected either `max_steps` or `num_epochs`, and one of them.")
        for name in ("batch_size", "max_steps", "num_epochs", "learning_rate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"`{name}` is {value}, expected more than 0.")
        if self.stage != "re_alignment" and self.lora is not None:
            raise ValueError(f"`{self.stage}` trains no LoRA: take `lora` out, or make it `re_alignment`.")
        if self.stage == "re_alignment" and self.lora is None:
            raise ValueError("`re_alignment` trains LoRA: add `lora: {}` for the defaults.")


@dataclass(frozen=True)
class TrainingRecipe:
    """What all stages share. `report_to` names transformers' reporting integrations, such as tensorboard.

    Every `eval_steps` steps, and at the last one, the tasks of `evaluation` are asked about `eval_images` image sets
    in each language, the same each time. With `keep_best` a stage ends with the weights of the best of these
    evaluations instead of the last ones.
    """

    gradient_accumulation_steps: int = 1
    weight_decay: float = 0.1
    lr_scheduler: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    max_grad_norm: float = 1.0
    gradient_checkpointing: bool = False
    logging_steps: int = 10
    save_steps: int = 500
    save_total_limit: int = 2
    eval_steps: int | None = None
    eval_images: int = 32
    keep_best: bool = False
    dataloader_num_workers: int = 0
    report_to: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.keep_best and self.eval_steps is None:
            raise ValueError("`keep_best` asks for the best evaluation, but there is none: give `eval_steps`.")
        if self.keep_best and self.eval_steps is not None and self.eval_steps % self.save_steps:
            raise ValueError(
                f"`keep_best` keeps checkpoints, which are saved every {self.save_steps} steps: `eval_steps` is "
                f"{self.eval_steps}, expected a multiple of `save_steps`."
            )


@dataclass(frozen=True)
class Recipe:
    """A training run. `license` is that of the weights, for the model card; the parents' decide on it. `limits` says
    in the card what the model is not meant for.

    `compare_with_parents` names a task of `evaluation` that two more models answer: the composition before training,
    and BLIP-2 itself in English. `modules` is the folder that dotted paths are looked for in, the recipe's own unless
    said; a run, which has its recipe in a folder of its own, writes it down.
    """

    output_dir: Path
    model: ModelRecipe
    data: DataRecipe
    stages: tuple[StageRecipe, ...]
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    evaluation: EvaluationRecipe | None = None
    seed: int = 42
    license: str | None = None
    limits: str | None = None
    compare_with_parents: str | None = None
    modules: Path | None = None

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("`stages` is empty, expected at least one of full, warm_up and re_alignment.")
        kinds = [stage.stage for stage in self.stages]
        if kinds != sorted(kinds, key=("full", "warm_up", "re_alignment").index):
            raise ValueError(
                f"`stages` are {', '.join(kinds)}, expected full training before the warm-up, and the warm-up "
                "before the re-alignment."
            )
        if self.model.load_in is not None and "full" in kinds:
            raise ValueError("`full` trains the language model, and a quantised one cannot be: take `load_in` out.")
        shapes = {(lora.rank, lora.alpha, lora.dropout) for lora in (s.lora for s in self.stages) if lora is not None}
        if len(shapes) > 1:
            raise ValueError(
                "stages train one LoRA further, so `rank`, `alpha` and `dropout` must agree in all of them."
            )
        if self.training.eval_steps is not None and self.evaluation is None:
            raise ValueError("`training.eval_steps` asks for evaluations, but `evaluation` names no task: add one.")
        if self.compare_with_parents is not None and self.model.name_or_path is not None:
            raise ValueError(
                "`compare_with_parents` is for a composition of `blip2` and `language_model`, but `model` is "
                f"{self.model.name_or_path}. Take it out."
            )
        for stage in self.stages:
            if self.data_of(stage).is_streamed and stage.max_steps is None:
                raise ValueError(f"the stage {stage.stage} streams its rows, which have no length: give `max_steps`.")

    def data_of(self, stage: StageRecipe) -> DataRecipe:
        """The data of a stage: its own, or the recipe's."""
        return stage.data or self.data
