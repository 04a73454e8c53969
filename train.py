"""Train, `python train.py [RECIPE]`: the steps are in mblip/train.py."""

from mblip.data.command import run_command
from mblip.train import main

if __name__ == "__main__":
    run_command(main)
