"""Step 4 of train.py, from a recipe's `data` to batches: sources -> mix -> prompts -> rows, and the collator."""

import itertools
from collections.abc import Iterator, Sequence

from peft import PeftModel

from mblip.data import Example, InterleavedRows, MBlipCollator, TrainingRows, apply_prompt, load_rows, to_rows
from mblip.data.example import rows_to_dataset
from mblip.data.features import FeatureSet
from mblip.data.interleaving import EndlessStream, InterleavedStreams
from mblip.data.mixture import WeightedSource, find_parquet, mix
from mblip.data.token_ids import Processor
from mblip.data.training_rows import PromptChoice
from modeling_mblip import MBlipForConditionalGeneration

from .recipe import DataRecipe, RowsRecipe
from .run_folder import StageRun

Rows = TrainingRows | InterleavedRows | EndlessStream | InterleavedStreams


def build_rows(data: DataRecipe, seed: int) -> Rows:
    """Build the rows to train on. They depend only on (data, seed), so a resumed run builds the same ones.

    Raises:
        ValueError: a source gives no examples, or a broken one. The message names it.
        OSError: there are no rows at the recipe's path, or no such dataset on the Hub.
    """
    if data.rows:
        return _load_rows(data.rows, data.prompts_per_image, seed)
    examples = _examples(data, seed)
    prompted = (example if example.prompt else apply_prompt(example, seed=seed) for example in examples)
    rows = rows_to_dataset(to_rows(prompted), are_images_inside=False)
    if not len(rows):
        raise ValueError(
            f"The sources {', '.join(source.source for source in data.sources)} gave no examples, expected at least "
            "one. Check their arguments in `data.sources`."
        )
    return TrainingRows(rows, prompts_per_image=data.prompts_per_image)


def check_paths(data: DataRecipe) -> None:
    """Raise FileNotFoundError if a local file or folder of the data is missing, before a model is loaded."""
    for source in data.sources:
        source.check_paths()
    for rows in data.rows:
        if rows.revision is None:
            find_parquet(rows.path)


def build_collator(
    processor: Processor,
    model: MBlipForConditionalGeneration | PeftModel,
    stage: StageRun,
    features: FeatureSet | None = None,
) -> MBlipCollator:
    """The collator that turns rows into batches for this model, with the images' `features` if there are any."""
    return MBlipCollator(
        processor,
        model.config,
        max_text_tokens=stage.data.max_text_tokens,
        max_target_tokens=stage.data.max_target_tokens,
        prompts_per_image=stage.data.prompts_per_image,
        augmentation=stage.data.augmentation,
        seed=stage.seed,
        features=features,
    )


def _examples(data: DataRecipe, seed: int) -> Iterator[Example]:
    examples = [source.examples(seed) for source in data.sources]
    if data.num_examples is None:
        return itertools.chain.from_iterable(examples)
    weighted = {
        f"data.sources.{i} ({source.source})": WeightedSource(examples[i], source.weight)
        for i, source in enumerate(data.sources)
    }
    return mix(weighted, num_examples=data.num_examples, seed=seed)


def _load_rows(recipes: Sequence[RowsRecipe], prompts_per_image: int, seed: int) -> Rows:
    weights = [rows.weight for rows in recipes]
    if recipes[0].streaming:
        streams = [_open_stream(rows, prompts_per_image, seed) for rows in recipes]
        return streams[0] if len(streams) == 1 else InterleavedStreams(streams, weights, seed=seed)
    found = [_open_rows(rows, prompts_per_image) for rows in recipes]
    return found[0] if len(found) == 1 else InterleavedRows(found, weights, seed=seed)


def _open_rows(rows: RowsRecipe, prompts_per_image: int) -> TrainingRows:
    loaded = load_rows(rows.path, revision=rows.revision)
    try:
        return TrainingRows(loaded, prompts_per_image=prompts_per_image, choice=_choice(rows))
    except ValueError as error:  # a bad row
        raise ValueError(f"{rows.path}: {error}") from error


def _open_stream(rows: RowsRecipe, prompts_per_image: int, seed: int) -> EndlessStream:
    return EndlessStream(
        load_rows(rows.path, revision=rows.revision, streaming=True),
        seed=seed,
        shuffle_buffer_size=rows.shuffle_buffer_size,
        prompts_per_image=prompts_per_image,
        choice=_choice(rows),
        name=str(rows.path),
    )


def _choice(rows: RowsRecipe) -> PromptChoice:
    return PromptChoice(rows.tasks, rows.languages, rows.sources)
