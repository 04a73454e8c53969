"""The plain Trainer with a model that keeps the batches it is shown."""

import torch
from transformers import Trainer, TrainingArguments

from mblip.data import EpochCallback


class Recorder(torch.nn.Module):
    """Learns nothing and keeps the batches it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def forward(self, batch):
        self.seen.append(batch.tolist())
        return {"loss": self.weight * 1.0}


def collate(rows):
    """(number, epoch) of every row."""
    return {"batch": torch.tensor([(row["number"], row["epoch"]) for row in rows])}


def recorded(tmp_path, rows, *, resume=False, **arguments):
    """The batches a Trainer of `rows` showed its model."""
    model = Recorder()
    settings = {"num_train_epochs": 3, "per_device_train_batch_size": 2, "save_strategy": "no"} | arguments
    args = TrainingArguments(
        tmp_path,
        remove_unused_columns=False,
        accelerator_config={"dispatch_batches": False},
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        **settings,
    )
    trainer = Trainer(model, args, train_dataset=rows, data_collator=collate, callbacks=[EpochCallback()])
    trainer.train(resume_from_checkpoint=resume)
    return model.seen
