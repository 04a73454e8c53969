"""From a recipe's `data` to training rows: sources -> mix -> prompts -> rows."""

import itertools
from collections.abc import Iterator
from typing import Any

from torch.utils.data import IterableDataset

from data_mblip import Example, TrainingRows, TrainingStream, apply_prompt, load_rows, to_rows
from data_mblip.example import rows_to_dataset
from data_mblip.mixture import WeightedSource, mix
from data_mblip.recipes.sources import SOURCES

from .recipe import DataRecipe, RowsRecipe


class EndlessStream(IterableDataset):
    """A stream read again and again, each time as the next epoch.

    To the Trainer it is one long epoch, so that a resumed run can find its place behind the first pass, too.
    """

    def __init__(self, stream: TrainingStream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for epoch in itertools.count():
            self.stream.set_epoch(epoch)
            is_empty = True
            for row in self.stream:
                is_empty = False
                yield row
            if is_empty:
                raise ValueError("The stream gave no rows. Check the recipe's `data.rows.path`.")


def build_rows(data: DataRecipe, seed: int) -> TrainingRows | EndlessStream:
    """The rows to train on. They depend on (data, seed) alone, so a resumed run builds the same.

    Raises:
        ValueError: a source gives no examples, or has a broken one; the message names it.
        FileNotFoundError: there are no rows at the recipe's path.
    """
    if data.rows is not None:
        return _load_rows(data.rows, data.prompts_per_image, seed)
    examples = _examples(data, seed)
    prompted = (example if example.prompt else apply_prompt(example, seed=seed) for example in examples)
    rows = rows_to_dataset(to_rows(prompted))
    if not len(rows):
        raise ValueError(f"The sources {', '.join(source.source for source in data.sources)} gave no examples.")
    return TrainingRows(rows, prompts_per_image=data.prompts_per_image)


def _examples(data: DataRecipe, seed: int) -> Iterator[Example]:
    examples = [SOURCES[source.source](seed, **source.arguments) for source in data.sources]
    if data.num_examples is None:
        return itertools.chain.from_iterable(examples)
    weighted = {
        f"data.sources.{i} ({source.source})": WeightedSource(examples[i], source.weight)
        for i, source in enumerate(data.sources)
    }
    return mix(weighted, num_examples=data.num_examples, seed=seed)


def _load_rows(rows: RowsRecipe, prompts_per_image: int, seed: int) -> TrainingRows | EndlessStream:
    if rows.streaming:
        stream = load_rows(rows.path, streaming=True)
        shuffled = stream.shuffle(seed=seed, buffer_size=rows.shuffle_buffer_size)
        return EndlessStream(TrainingStream(shuffled, prompts_per_image=prompts_per_image))
    return TrainingRows(load_rows(rows.path), prompts_per_image=prompts_per_image)
