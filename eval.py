"""Evaluate, `python eval.py MODEL_OR_RECIPE`: the steps are in mblip/eval.py."""

from mblip.data.command import run_command
from mblip.eval import main

if __name__ == "__main__":
    run_command(main)
