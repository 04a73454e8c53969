"""One process or several (torchrun): who writes, and how all but one leave."""

import os

import torch.distributed as dist


def is_main_process() -> bool:
    """Whether this process writes; known before any process group is there."""
    return int(os.environ.get("RANK", "0")) == 0


def leave_group() -> bool:
    """End the process group when training is over, so that no process waits for a long evaluation of the main one.

    Returns:
        Whether this is the main process, which goes on alone.
    """
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
    return is_main_process()
