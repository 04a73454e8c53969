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

from .options import DEFAULTS, LORA_DEFAULTS, LoraOptions, TrainingOptions

Stage = Literal["warm_up", "re_alignment", "full"]


@dataclass(frozen=True)
class ModelRecipe:
    """Where training begins: a checkpoint (`name_or_path`), or a composition of `blip2` and `language_model`.

    `dtype` is what ViT and language model are held in; "auto" is bfloat16 on a GPU that computes in it, else float32.
    What trains is float32 always. `load_in` quantises the language model (4 bit: nf4) while it trains; the
    finished model is not. `random_weights` keeps the shapes and forgets the weights: the baseline without components.

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
    `rows` on disk, from one path or several, drawn by weight.

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
class StageRecipe:
    """One stage: what trains (`warm_up`: the projection; `re_alignment`: Q-Former, query tokens, projection, LoRA;
    `full`: everything), for how long, and how fast.

    `learning_rate` is the peak for projection, Q-Former and query tokens, and in `full` for everything;
    `lora_learning_rate` that for LoRA, 2e-4 if left out. `batch_size` counts images (rows) of one optimizer step over
    all processes and accumulation steps, so that a step is the same on any number of them. `warmup_steps` below 1 are
    a share of all steps. `lora` holds options of PEFT's `LoraConfig` over `LORA_DEFAULTS`, `training` those of this
    stage over the run's.
    """

    stage: Stage
    learning_rate: float
    batch_size: int
    max_steps: int | None = None
    num_epochs: float | None = None
    warmup_steps: float = 1000.0
    lora_learning_rate: float | None = None
    lora: LoraOptions | None = None
    training: TrainingOptions = field(default_factory=TrainingOptions)
    data: DataRecipe | None = None  # None: the recipe's

    def __post_init__(self) -> None:
        if (self.max_steps is None) == (self.num_epochs is None):
            raise ValueError("expected either `max_steps` or `num_epochs`, and one of them.")
        for name in ("batch_size", "max_steps", "num_epochs", "learning_rate", "lora_learning_rate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"`{name}` is {value}, expected more than 0.")
        if self.stage == "re_alignment":
            lora_learning_rate = 2e-4 if self.lora_learning_rate is None else self.lora_learning_rate
            object.__setattr__(self, "lora_learning_rate", lora_learning_rate)
            object.__setattr__(self, "lora", LoraOptions(LORA_DEFAULTS | (self.lora or LoraOptions())))
        elif self.lora is not None or self.lora_learning_rate is not None:
            given = "lora" if self.lora is not None else "lora_learning_rate"
            raise ValueError(f"`{self.stage}` trains no LoRA: take `{given}` out, or make it `re_alignment`.")


@dataclass(frozen=True)
class Recipe:
    """A training run. `training` holds what all stages share: any field of transformers' `TrainingArguments`, over
    `DEFAULTS`. `license` is that of the weights, for the model card; the components' decide on it. `limits` says in
    the card what the model is not meant for.

    Every `training.eval_steps` steps, and at the last one, the tasks of `evaluation` are asked about
    `training.eval_images` image sets in each language, the same each time. With `training.keep_best` a stage ends with
    the weights of the best of these evaluations instead of the last ones.

    `compare_with_components` names a task of `evaluation` that two more models answer: the composition before
    training, and BLIP-2 itself in English. `modules` is the folder that dotted paths are looked for in, the recipe's
    own unless said; a run, which has its recipe in a folder of its own, writes it down.
    """

    output_dir: Path
    model: ModelRecipe
    data: DataRecipe
    stages: tuple[StageRecipe, ...]
    training: TrainingOptions = field(default_factory=TrainingOptions)
    evaluation: EvaluationRecipe | None = None
    seed: int = 42
    license: str | None = None
    limits: str | None = None
    compare_with_components: str | None = None
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
        if self.compare_with_components is not None and self.model.name_or_path is not None:
            raise ValueError(
                "`compare_with_components` is for a composition of `blip2` and `language_model`, but `model` is "
                f"{self.model.name_or_path}. Take it out."
            )
        loras = [stage.lora for stage in self.stages if stage.lora is not None]
        if any(lora != loras[0] for lora in loras):
            raise ValueError("stages train one LoRA further, so their `lora` must agree.")
        object.__setattr__(self, "training", TrainingOptions(DEFAULTS | self.training, self.training.location))
        for stage in self.stages:
            if self.data_of(stage).is_streamed and stage.max_steps is None:
                raise ValueError(f"the stage {stage.stage} streams its rows, which have no length: give `max_steps`.")
            _check_training(self.training_of(stage), is_evaluated=self.evaluation is not None)

    def data_of(self, stage: StageRecipe) -> DataRecipe:
        """The data of a stage: its own, or the recipe's."""
        return stage.data or self.data

    def training_of(self, stage: StageRecipe) -> TrainingOptions:
        """The training options of a stage: its own over the recipe's."""
        location = stage.training.location if stage.training else self.training.location
        return TrainingOptions(self.training | stage.training, location)


def _check_training(training: TrainingOptions, *, is_evaluated: bool) -> None:
    """Refuse options that do not go together, as far as `TrainingArguments` does not."""
    eval_steps, save_steps = training.get("eval_steps"), training["save_steps"]
    if training["keep_best"] and eval_steps is None:
        raise ValueError("`keep_best` asks for the best evaluation, but there is none: give `eval_steps`.")
    if training["keep_best"] and abs(eval_steps / save_steps - round(eval_steps / save_steps)) > 1e-6:  # or shares
        raise ValueError(
            f"`keep_best` keeps checkpoints, which are saved every {save_steps} steps: `eval_steps` is "
            f"{eval_steps}, expected a multiple of `save_steps`."
        )
    if eval_steps is not None and not is_evaluated:
        raise ValueError("`training.eval_steps` asks for evaluations, but `evaluation` names no task: add one.")
    if training["save_total_limit"] is not None and training["save_total_limit"] < 2:
        raise ValueError(
            f"`save_total_limit` is {training['save_total_limit']}, expected at least 2: an old checkpoint is "
            "deleted before the new one is complete."
        )
    if training.get("push_to_hub") and not training.get("hub_model_id"):
        raise ValueError("`push_to_hub` sends checkpoints to the Hub, but says not where: give `hub_model_id`.")
