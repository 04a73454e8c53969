"""What a stage trains on: batches as training draws them, and tokens by language. Or assumptions, without the data."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mblip.data import InterleavedRows, TrainingRows
from mblip.data.mixture import find_parquet
from mblip.training.rows import Rows, build_collator, build_rows, check_paths
from mblip.training.run_folder import StageRun
from mblip.training.trainer import RowOrder
from modeling_mblip import MBlipForConditionalGeneration
from processing_mblip import MBlipProcessor

from .steps import IGNORED, BatchShape

MAX_BATCHES = 16  # drawn to find the largest and the mean one
MAX_ROWS = 2000  # read to count tokens by language


@dataclass
class DataPlan:
    """The data of a stage.

    Args:
        num_rows: image sets, each as often as it has turns; None: unknown, or a stream.
        largest: the batch of one process, of those drawn, that has the most tokens.
        typical: the mean of those drawn.
        tensors: the largest batch itself; None: assumed.
        tokens: by language, (prompts, tokens of prompt and target) of `num_read` rows.
        error: of `typical`, the standard error of its number of tokens, relative.
        num_bytes: of the rows on disk; None: unknown.
    """

    largest: BatchShape
    typical: BatchShape
    num_rows: int | None = None
    tensors: dict[str, Any] | None = None
    tokens: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    num_read: int = 0
    error: float = 0.0
    num_bytes: int | None = None
    notes: Sequence[str] = ()


def assumed(stage: StageRun, num_rows_of_batch: int, text_tokens: int, target_tokens: int, why: str) -> DataPlan:
    """What we assume without the data: memory for the longest texts that the recipe allows, time for typical ones."""
    num_prompts = num_rows_of_batch * stage.data.prompts_per_image
    return DataPlan(
        BatchShape(num_rows_of_batch, num_prompts, stage.data.max_text_tokens, stage.data.max_target_tokens),
        BatchShape(num_rows_of_batch, num_prompts, text_tokens, target_tokens),
        notes=[
            f"{why} Assumed: {stage.data.prompts_per_image} prompts an image; memory for prompts and targets of "
            f"{stage.data.max_text_tokens} and {stage.data.max_target_tokens} tokens, the recipe's limits; operations "
            f"for {text_tokens} and {target_tokens} (--text_tokens, --target_tokens)."
        ],
    )


def drawn(
    stage: StageRun, processor: MBlipProcessor, model: MBlipForConditionalGeneration, num_rows_of_batch: int
) -> DataPlan:
    """What the first batches of the stage hold, collated as in training, and the tokens of its first rows."""
    rows = build_rows(stage.data, stage.seed)
    collator = build_collator(processor, model, stage)
    batches = [
        collator(batch)
        for batch in itertools.islice(_batches(rows, stage, num_rows_of_batch), _num_batches(stage, num_rows_of_batch))
    ]
    shapes = [_shape(batch, model) for batch in batches]
    sizes = [shape.num_prompts * (shape.text_tokens + shape.target_tokens) for shape in shapes]
    largest = max(range(len(sizes)), key=sizes.__getitem__)
    read = list(itertools.islice(_in_order(rows), MAX_ROWS))
    return DataPlan(
        shapes[largest],
        BatchShape(*(round(mean(vars(shape)[name] for shape in shapes)) for name in vars(shapes[0]))),
        num_rows=len(rows) if isinstance(rows, TrainingRows | InterleavedRows) else None,
        tensors=batches[largest],
        tokens=_count_tokens(read, processor),
        num_read=len(read),
        error=stdev(sizes) / mean(sizes) / math.sqrt(len(sizes)) if len(sizes) > 1 else 0.0,
        num_bytes=sum(Path(path).stat().st_size for each in stage.data.rows for path in find_parquet(each.path))
        if stage.data.rows and all(each.revision is None for each in stage.data.rows)
        else None,
    )


def why_not_here(stage: StageRun) -> str | None:
    """Why the data cannot be read without a download or an earlier command; None if they can."""
    if any(rows.revision is not None for rows in stage.data.rows):
        return "The rows are on the Hub, and are not downloaded for a plan."
    try:
        check_paths(stage.data)
    except OSError as error:
        return f"The data are not here ({error})"
    return None


def _num_batches(stage: StageRun, num_rows_of_batch: int) -> int:
    steps = stage.recipe.max_steps or MAX_BATCHES
    return min(MAX_BATCHES, max(1, steps * stage.recipe.batch_size // num_rows_of_batch))


def _in_order(rows: Rows) -> Iterator[Mapping[str, Any]]:
    return map(rows.__getitem__, range(len(rows))) if isinstance(rows, TrainingRows | InterleavedRows) else iter(rows)


def _batches(rows: Rows, stage: StageRun, size: int) -> Iterator[list[Mapping[str, Any]]]:
    """The rows of each batch, in the order of training."""
    order = iter(rows)
    if isinstance(rows, TrainingRows | InterleavedRows):
        order = map(rows.__getitem__, RowOrder(len(rows), stage.recipe.batch_size, stage.seed))
    while batch := list(itertools.islice(order, size)):
        yield batch


def _shape(batch: Mapping[str, Any], model: MBlipForConditionalGeneration) -> BatchShape:
    num_prompts, num_tokens = batch["input_ids"].shape
    num_images = next((len(batch[name]) for name in IMAGES if name in batch), 0)
    if model.config.is_encoder_decoder:
        target_tokens = batch["labels"].shape[1]
    else:
        target_tokens = int((batch["labels"] != IGNORED).sum(1).max())
        num_tokens -= target_tokens
    return BatchShape(num_images, num_prompts, num_tokens - model.config.num_query_tokens, target_tokens)


IMAGES = ("pixel_values", "vision_features", "query_features")


def _count_tokens(rows: Sequence[Mapping[str, Any]], processor: MBlipProcessor) -> dict[str, tuple[int, int]]:
    counts: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for row in rows:
        ids = processor.tokenizer([*row["prompts"], *row["targets"]])["input_ids"]
        for number, language in enumerate(row["languages"]):
            counts[language] += 1
            tokens[language] += len(ids[number]) + len(ids[number + len(row["prompts"])])
    return {language: (counts[language], tokens[language]) for language, _ in tokens.most_common()}
