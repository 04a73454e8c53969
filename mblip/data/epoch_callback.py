"""Telling rows their epoch where the Trainer's data loader does not (training_rows.py says where)."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .interleaving import InterleavedRows
from .training_rows import TrainingRows


class EpochCallback(TrainerCallback):
    """`Trainer(..., train_dataset=TrainingRows(rows), callbacks=[EpochCallback()])`."""

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Set the epoch that begins. A stream is told by accelerate, which alone knows how often it was read."""
        rows = kwargs["train_dataloader"].dataset
        if isinstance(rows, TrainingRows | InterleavedRows):
            rows.set_epoch(int(state.epoch or 0))
