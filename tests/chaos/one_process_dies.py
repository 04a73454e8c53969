"""`mblip train`, under torchrun: the process of rank 1 kills itself before its fourth step, in mid-epoch."""

import os
import sys

from mblip import cli
from mblip.training.trainer import MBlipTrainer
from tests.training.killed_runs import before_call

if __name__ == "__main__":
    if os.environ["RANK"] == "1":
        before_call(MBlipTrainer, "training_step", 4)
    cli.main(["train", *sys.argv[1:]])
