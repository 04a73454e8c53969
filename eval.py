"""`mblip eval`: `python eval.py MODEL_OR_RECIPE`, `torchrun eval.py RECIPE`."""

import sys

from mblip.cli import main

if __name__ == "__main__":
    main(["eval", *sys.argv[1:]])
