"""Fetch the images of a list of URLs into a folder.

    mblip fetch URLS.txt FOLDER [--num-connections 64] [...]

URLS.txt holds one URL a line. Stopped at any moment and started again, it goes on. Hosts are asked politely, so a list
sorted by host is slow: shuffle it. At the end it prints what became of the URLs; FOLDER/failures.jsonl names every
failure with its cause.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from .fetch import fetch_images
from .settings import FetchSettings


def main(arguments: Sequence[str]) -> None:
    """The command: fetch, and print the report."""
    parser = argparse.ArgumentParser(
        prog="mblip fetch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("urls", metavar="URLS.txt", type=Path, help="one URL a line")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where to; the same again goes on")
    for field in dataclasses.fields(FetchSettings):
        option = f"--{field.name.replace('_', '-')}"
        if isinstance(field.default, bool):
            parser.add_argument(option, action="store_true")
        else:
            parser.add_argument(option, type=type(field.default), default=field.default, help=f"{field.default}")
    given = vars(parser.parse_args(arguments))
    urls, folder = given.pop("urls"), given.pop("folder")
    with urls.open(encoding="utf-8", errors="surrogateescape") as lines:
        print(fetch_images(lines, folder, settings=FetchSettings(**given)).table())
