"""The schema of training recipes, the YAML files in mblip/recipes/, as frozen dataclasses.

The fields below are the keys of a recipe, with their types and defaults. `recipe_reading.py` reads files into them.
Training defaults are those of the released checkpoints (code of gregor-ge/mBLIP, commit 0380e68). Paths are relative
to the working directory.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mblip.data.augmentation import Augmentation
from mblip.data.languages import Language, LanguageCode
from mblip.data.recipes.ranges import Count, NotNegative, Positive, Seed
from mblip.data.recipes.sources import Source
from mblip.data.training_rows import PromptChoice
from mblip.evaluation import EvaluationRecipe
from mblip.evaluation.recipe import DtypeName, LoadIn

from .options import DEFAULTS, LORA_DEFAULTS, LoraOptions, QFormerOptions, TrainingOptions

Stage = Literal["warm_up", "re_alignment", "full", "pretrain"]
ORDER: tuple[Stage, ...] = ("full", "pretrain", "warm_up", "re_alignment")


PARTS = ("name_or_path", "blip2", "vision", "qformer", "language_model")


@dataclass(frozen=True)
class ModelRecipe:
    """The model that training starts from: a checkpoint or adapter, or a composition of components.

    Args:
        name_or_path: a checkpoint or an adapter. Training continues an adapter's LoRA and image side.
        blip2: with `language_model`, the two components of a composition.
        vision: instead of `blip2`, the image encoder alone: any checkpoint that `AutoModel` loads, or a BLIP-2.
        qformer: with `vision`, the BLIP-2 whose Q-Former is used; None: a new Q-Former.
        qformer_config: of a new Q-Former: fields of transformers' `Blip2QFormerConfig`; None: as BLIP-2's.
        num_query_tokens: of a new Q-Former; None: 32.
        language_model: see `blip2`.
        projection: of a composition: "random", or "blip2" to keep BLIP-2's.
        dtype: of ViT and language model. "auto" is bfloat16 on a GPU that supports it, else float32. Parameters that
            train are always float32.
        load_in: quantise the language model during training (4bit: nf4). The finished model is not quantised.
        random_weights: keep the architecture, but start from random weights. This is the baseline without components.
        adapter: "fresh": merge the adapter `name_or_path` into its base, and train a new LoRA.
    """

    name_or_path: str | None = None
    blip2: str | None = None
    vision: str | None = None
    qformer: str | None = None
    qformer_config: QFormerOptions | None = None
    num_query_tokens: Count | None = None
    language_model: str | None = None
    projection: Literal["random", "blip2"] = "random"
    dtype: DtypeName = "auto"
    load_in: LoadIn | None = None
    random_weights: bool = False
    adapter: Literal["fresh"] | None = None

    def __post_init__(self) -> None:
        given = [name for name in PARTS if getattr(self, name) is not None]
        is_composition = {*given} in (
            {"blip2", "language_model"},
            {"vision", "language_model"},
            {"vision", "qformer", "language_model"},
        )
        if not is_composition and given != ["name_or_path"]:
            raise ValueError(
                f"found {' and '.join(f'`{name}`' for name in given) or 'nothing'}, expected either `name_or_path` or "
                "both `blip2` and `language_model`, or `vision`, `language_model` and perhaps `qformer`. `null` takes "
                "one out: `--model.blip2 null`."
            )
        for name in ("qformer_config", "num_query_tokens"):
            if getattr(self, name) is not None and (self.vision is None or self.qformer is not None):
                raise ValueError(f"`{name}` is for a new Q-Former, with `vision` and no `qformer`: take it out.")
        if self.adapter is not None and is_composition:
            raise ValueError("`adapter` needs an adapter in `name_or_path`, but this is a composition: take it out.")
        if self.load_in is not None and self.random_weights:
            raise ValueError("random weights must train, but quantised weights cannot: take `load_in` out.")


@dataclass(frozen=True)
class SourceRecipe(Source):
    """A source of examples, and its sampling weight relative to the other sources."""

    weight: Positive = 1.0


COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class RowsRecipe:
    """Training rows written by `write_rows` or `mblip build`.

    Args:
        path: a parquet file, a folder of them, or, with `revision`, a dataset on the Hub.
        revision: the full 40 digits of a commit on the Hub, so that a resumed run reads the same rows.
        weight: the sampling weight relative to the other `rows` of the recipe (mblip/data/interleaving.py).
        tasks: take only prompts of these tasks; None: all.
        languages: take only prompts in these languages; None: all.
        sources: take only prompts from these sources; None: all.
        streaming: read rows as a stream, and shuffle them in a buffer.
        shuffle_buffer_size: the size of this buffer in rows.
    """

    path: str
    revision: str | None = None
    weight: Positive = 1.0
    tasks: frozenset[str] | None = None
    languages: frozenset[LanguageCode] | None = None
    sources: frozenset[str] | None = None
    streaming: bool = False
    shuffle_buffer_size: Count = 1000

    def __post_init__(self) -> None:
        if self.revision is not None and not COMMIT.fullmatch(self.revision):
            raise ValueError(
                f"`revision` is {self.revision!r}, expected the full 40 digits of a commit of {self.path}. The Hub "
                'shows them under "Files and versions".'
            )
        PromptChoice(self.tasks, self.languages, self.sources)  # raises for unknown names


@dataclass(frozen=True)
class DataRecipe:
    """The training data: either `sources` or `rows`.

    Args:
        sources: sources of examples. With `num_examples` we mix them by weight, otherwise we concatenate them.
        num_examples: the size of the mix.
        rows: rows on disk or on the Hub. From several paths, we sample by weight.
        prompts_per_image: the largest number of prompts of one image in a batch. They share one pass through the ViT.
        max_text_tokens: truncate prompts to this number of tokens, image tokens not counted.
        max_target_tokens: truncate targets to this number of tokens.
        augmentation: random changes of the training images; None: none.
    """

    sources: tuple[SourceRecipe, ...] = ()
    num_examples: Count | None = None
    rows: tuple[RowsRecipe, ...] = ()
    prompts_per_image: Count = 4
    max_text_tokens: Count = 128
    max_target_tokens: Count = 128
    augmentation: Augmentation | None = None

    def __post_init__(self) -> None:
        if bool(self.sources) == bool(self.rows):
            found = "both" if self.rows else "neither"
            raise ValueError(
                f"found {found} of `sources` and `rows`, expected one of them. An empty list takes one out: "
                '`--data.sources "[]"`.'
            )
        if len({rows.streaming for rows in self.rows}) > 1:
            raise ValueError("some `rows` are streamed and others are not, expected all or none: set `streaming`.")
        if len(self.rows) == 1 and self.rows[0].weight != 1:
            raise ValueError("the only entry of `rows` has a weight, which has no effect. Take it out.")
        if self.num_examples is None and any(source.weight != 1 for source in self.sources):
            raise ValueError("a source has a weight, but `num_examples` is missing. Give it, the size of the mix.")

    @property
    def is_streamed(self) -> bool:
        """Whether the rows are a stream, which has no length."""
        return any(rows.streaming for rows in self.rows)


@dataclass(frozen=True)
class StageRecipe:
    """One stage of training. Give either `max_steps` or `num_epochs`.

    Args:
        stage: what trains. "full": everything; "pretrain": Q-Former, query tokens and projection; "warm_up": the
            projection; "re_alignment": Q-Former, query tokens, projection and LoRA.
        learning_rate: the peak for projection, Q-Former and query tokens; in "full" for everything.
        batch_size: rows (images) per optimizer step, over all processes and accumulation steps, so that a step is the
            same on any number of processes.
        max_steps: optimizer steps.
        num_epochs: passes over the rows.
        warmup_steps: steps in which the learning rate rises. A value below 1 is a share of all steps.
        lora_learning_rate: the peak for LoRA in "re_alignment"; None: 2e-4.
        lora: options of PEFT's `LoraConfig`, which override `LORA_DEFAULTS`.
        training: options of this stage, which override the run's.
        data: the data of this stage; None: the recipe's.
    """

    stage: Stage
    learning_rate: Positive
    batch_size: Count
    max_steps: Count | None = None
    num_epochs: Positive | None = None
    warmup_steps: NotNegative = 1000.0
    lora_learning_rate: Positive | None = None
    lora: LoraOptions | None = None
    training: TrainingOptions = field(default_factory=TrainingOptions)
    data: DataRecipe | None = None

    def __post_init__(self) -> None:
        if self.max_steps is None and self.num_epochs is None:
            raise ValueError("found neither `max_steps` nor `num_epochs`, expected one of them.")
        if self.max_steps is not None and self.num_epochs is not None:
            raise ValueError("found both `max_steps` and `num_epochs`, expected one of them. Take one out.")
        if self.stage == "re_alignment":
            lora_learning_rate = 2e-4 if self.lora_learning_rate is None else self.lora_learning_rate
            object.__setattr__(self, "lora_learning_rate", lora_learning_rate)
            object.__setattr__(self, "lora", LoraOptions(LORA_DEFAULTS | (self.lora or LoraOptions())))
        elif self.lora is not None or self.lora_learning_rate is not None:
            given = "lora" if self.lora is not None else "lora_learning_rate"
            raise ValueError(f"`{self.stage}` trains no LoRA: take `{given}` out, or use the stage `re_alignment`.")


@dataclass(frozen=True)
class FeaturesRecipe:
    """Features that `mblip encode` computes once, so that the image encoder is not loaded in training (encoding.py).

    Args:
        path: the folder of the features.
        augmentations: the draws of each augmented image. Epoch e takes draw e modulo this number, and the first draws
            are those of training without features. None: for data without `augmentation`.
    """

    path: Path
    augmentations: Count | None = None


@dataclass(frozen=True)
class Recipe:
    """A training run.

    Every `training.eval_steps` steps and at the last step, we run the tasks of `evaluation` on `training.eval_images`
    image sets per language, always the same ones. With `training.keep_best`, a stage ends with the weights of the best
    of these evaluations instead of the last ones.

    Args:
        output_dir: the folder of the run.
        model: the model to start from.
        data: the data of all stages that have none of their own.
        stages: the stages, in order.
        training: options of all stages: any field of transformers' `TrainingArguments`, which overrides `DEFAULTS`.
        evaluation: the tasks to evaluate; None: no evaluation.
        features: read what frozen parts make of images from disk; None: run them in every step.
        seed: determines data, order of rows, new weights, dropout and augmentation.
        license: the licence of the weights, for the model card. It depends on the licences of the components.
        limits: what the model is not meant for, for the model card.
        compare_with_components: a task of `evaluation` on which we also evaluate the composition before training, and
            BLIP-2 in English.
        add_languages: languages that `languages.tsv` does not have.
        imports: modules of your own to import first, such as one that registers an image encoder with `AutoModel`.
        modules: the folder in which we look up `imports` and dotted paths; None: that of the recipe. A run's copy of
            the recipe records it.
    """

    output_dir: Path
    model: ModelRecipe
    data: DataRecipe
    stages: tuple[StageRecipe, ...]
    training: TrainingOptions = field(default_factory=TrainingOptions)
    evaluation: EvaluationRecipe | None = None
    features: FeaturesRecipe | None = None
    seed: Seed = 42
    license: str | None = None
    limits: str | None = None
    compare_with_components: str | None = None
    add_languages: tuple[Language, ...] = ()
    imports: tuple[str, ...] = ()
    modules: Path | None = None

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError(f"`stages` is empty, expected at least one stage: {', '.join(ORDER)}.")
        kinds = [stage.stage for stage in self.stages]
        if kinds != sorted(kinds, key=ORDER.index):
            raise ValueError(
                f"`stages` are {', '.join(kinds)}, expected the order {', '.join(ORDER)}. Change their order."
            )
        if self.model.load_in is not None and "full" in kinds:
            raise ValueError("`full` trains the language model, but a quantised one cannot train: take `load_in` out.")
        if self.compare_with_components is not None and self.model.blip2 is None:
            raise ValueError(
                "`compare_with_components` needs a composition of `blip2` and `language_model`, but `model` is "
                f"{self.model.name_or_path or self.model.vision}. Take it out."
            )
        loras = [stage.lora for stage in self.stages if stage.lora is not None]
        if any(lora != loras[0] for lora in loras):
            raise ValueError("all stages train the same LoRA, but their `lora` differs. Give the same one to each.")
        object.__setattr__(self, "training", TrainingOptions(DEFAULTS | self.training, self.training.location))
        sharding = [[self.training_of(stage).get(name) for name in ("fsdp", "fsdp_config")] for stage in self.stages]
        if any(options != sharding[0] for options in sharding):
            raise ValueError("the stages differ in `fsdp` or `fsdp_config`: give both to the run, not to a stage.")
        if self.model.load_in is not None and sharding[0][0]:
            raise ValueError("`fsdp` cannot shard a quantised language model: take `load_in` or `fsdp` out.")
        if self.features is not None:
            self._check_features(self.features)
        for stage in self.stages:
            if self.data_of(stage).is_streamed and stage.max_steps is None:
                raise ValueError(f"the stage {stage.stage} streams its rows, which has no length: give `max_steps`.")
            _check_training(self.training_of(stage), is_evaluated=self.evaluation is not None)

    def _check_features(self, features: FeaturesRecipe) -> None:
        if self.model.random_weights or any(stage.stage == "full" for stage in self.stages):
            what = "`random_weights` has none" if self.model.random_weights else "the stage `full` trains it"
            raise ValueError(f"`features` are those of a pretrained image encoder, but {what}: take `features` out.")
        is_augmented = any(self.data_of(stage).augmentation is not None for stage in self.stages)
        if is_augmented != (features.augmentations is not None):
            found = "but the data have no `augmentation`" if features.augmentations else "but it is missing"
            raise ValueError(
                f"`features.augmentations`, the draws of each image, goes with `data.augmentation`, {found}. Give "
                "both or neither."
            )

    def data_of(self, stage: StageRecipe) -> DataRecipe:
        """The data of a stage, or the recipe's if the stage has none."""
        return stage.data or self.data

    def training_of(self, stage: StageRecipe) -> TrainingOptions:
        """The training options of a stage. Its own override the recipe's."""
        location = stage.training.location if stage.training else self.training.location
        return TrainingOptions(self.training | stage.training, location)


def _check_training(training: TrainingOptions, *, is_evaluated: bool) -> None:
    """Refuse contradictory options that `TrainingArguments` accepts."""
    eval_steps, save_steps = training.get("eval_steps"), training["save_steps"]
    if training["keep_best"] and eval_steps is None:
        raise ValueError("`keep_best` needs evaluations during training: give `eval_steps`.")
    if training["keep_best"] and abs(eval_steps / save_steps - round(eval_steps / save_steps)) > 1e-6:  # or shares
        raise ValueError(
            f"`keep_best` needs a checkpoint at each evaluation: `eval_steps` is {eval_steps}, expected a multiple of "
            f"`save_steps`, {save_steps}."
        )
    if eval_steps is not None and not is_evaluated:
        raise ValueError("`training.eval_steps` needs a task, but `evaluation` names none: add one.")
