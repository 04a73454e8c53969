"""How commands end: a wrong input with one message, a bug with its traceback."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("modeling_mblip", "processing_mblip", "mblip", "benchmarks")
WRONG_INPUT = 2  # the exit status, as argparse has it


def run_command(main: Callable[[list[str]], None]) -> None:
    """Run a command's `main` on the command line; what is wrong with its input is printed in one message.

    Raises:
        SystemExit: with `WRONG_INPUT`, after such a message; torchrun sees it as a failure.
    """
    try:
        main(sys.argv[1:])
    except (ValueError, OSError) as error:
        if not is_about_input(error):
            raise
        print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr)
        raise SystemExit(WRONG_INPUT) from None


def is_about_input(error: ValueError | OSError) -> bool:
    """Whether an error is written for who gave the input: any about files, folders and names on the Hub, and a
    ValueError that a `raise` of ours made. One out of torch, or out of a `zip` of ours, is a bug."""
    if isinstance(error, OSError):
        return True
    place = traceback.extract_tb(error.__traceback__)[-1]
    is_ours = any(Path(place.filename).is_relative_to(ROOT / folder) for folder in FOLDERS)
    return is_ours and (place.line or "").startswith("raise ")
