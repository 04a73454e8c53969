"""`mblip demo`: `python demo.py`, `python demo.py MODEL --port 8000`."""

import sys

from mblip.cli import main

if __name__ == "__main__":
    main(["demo", *sys.argv[1:]])
