"""Telling rows their epoch in Hugging Face's Trainer. Importing the Trainer takes seconds, so only its users do."""

from typing import Any

from accelerate.data_loader import IterableDatasetShard
from torch.utils.data import ConcatDataset, Subset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .interleaving import EndlessStream, InterleavedRows, InterleavedStreams
from .training_rows import TrainingRows, TrainingStream


class EpochCallback(TrainerCallback):
    """Sets the epoch of rows where the Trainer's data loader does not. See training_rows.py for the cases.

    `Trainer(..., train_dataset=TrainingRows(rows), callbacks=[EpochCallback()])`
    """

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the epoch that begins. Streams get theirs from accelerate, which alone knows how often it read them.

        Raises:
            TypeError: the dataset has no epoch to set.
        """
        for rows in _rows_in(kwargs["train_dataloader"].dataset):
            rows.set_epoch(int(state.epoch or 0))


def _rows_in(dataset: object) -> list[TrainingRows | InterleavedRows]:
    """The map-style rows that a dataset shows, whole or in part."""
    if isinstance(dataset, Subset | IterableDatasetShard):
        return _rows_in(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        return [rows for part in dataset.datasets for rows in _rows_in(part)]
    if isinstance(dataset, TrainingRows | InterleavedRows):
        return [dataset]
    if isinstance(dataset, TrainingStream | EndlessStream | InterleavedStreams):
        return []
    raise TypeError(
        f"`EpochCallback` found a {type(dataset).__name__}, which has no epoch: its images would never be augmented. "
        f"Wrap the rows in `TrainingRows`, a stream in `TrainingStream`."
    )
