"""Runs `mblip train` with accelerate's FSDP2 over gloo, on CPUs:

    torchrun --nproc_per_node 2 tests/training/fsdp_on_cpu.py RECIPE --training.fsdp true

accelerate shards on accelerators only. Here it is told that a group of CPUs is one, and our check for GPUs is taken
out; what shards, gathers, clips, saves and loads is accelerate's, transformers' and torch's own code.
"""

import sys
from typing import Any

from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

from mblip import train
from mblip.training import trainer
from modeling_mblip import label_loss
from tests.tiny import VOCAB_SIZE

init = AcceleratorState.__init__


def shard_on_cpus() -> None:
    """Let accelerate shard on CPUs."""
    AcceleratorState.__init__ = init_sharded


def init_sharded(self: AcceleratorState, *args: Any, **kwargs: Any) -> None:
    init(self, *args, **kwargs)
    plugin = kwargs.get("fsdp_plugin")
    if plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, plugin
        if self._mixed_precision != "no":
            plugin.set_mixed_precision(self._mixed_precision)


if __name__ == "__main__":
    shard_on_cpus()
    trainer.check_sharding = lambda arguments, location: None
    label_loss.NUM_LOGITS_PER_CHUNK_ON_CPU = 3 * VOCAB_SIZE  # so that processes differ in their number of chunks
    train.main(sys.argv[1:])
