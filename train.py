"""`mblip train`, by the quickstart's recipe if none is given: `python train.py`, `torchrun train.py RECIPE`."""

import sys

from mblip.cli import main

if __name__ == "__main__":
    has_recipe = len(sys.argv) > 1 and not sys.argv[1].startswith("-")
    main(["train", *([] if has_recipe else ["quickstart/quickstart.yaml"]), *sys.argv[1:]])
