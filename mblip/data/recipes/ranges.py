"""The numbers that a recipe's field takes, as part of its type: `num_images: Count`.

`strict_loading` refuses all others, with file and line. A number is always finite.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_type_hints

MOST = 2**31 - 1


@dataclass(frozen=True)
class Range:
    """Numbers, in words and as a test. The test is False for nan."""

    words: str
    holds: Callable[[float], bool]

    def __str__(self) -> str:
        return self.words


FINITE = Range("a finite number", lambda number: abs(number) <= sys.float_info.max)
COUNTS = Range(f"at least 1 and at most {MOST}", lambda number: 1 <= number <= MOST)
Count = Annotated[int, COUNTS]
CountOrZero = Annotated[int, Range(f"at least 0 and at most {MOST}", lambda number: 0 <= number <= MOST)]
CountFrom2 = Annotated[int, Range(f"at least 2 and at most {MOST}", lambda number: 2 <= number <= MOST)]
Seed = Annotated[int, Range(f"at least 0 and at most {2**32 - 1}", lambda number: 0 <= number < 2**32)]  # of NumPy
Share = Annotated[float, Range("at least 0 and at most 1", lambda number: 0 <= number <= 1)]
ShareAbove0 = Annotated[float, Range("above 0 and at most 1", lambda number: 0 < number <= 1)]
ShareBelow1 = Annotated[float, Range("at least 0 and below 1", lambda number: 0 <= number < 1)]
Positive = Annotated[float, Range("above 0 and at most 1e38", lambda number: 0 < number <= 1e38)]  # a float32
NotNegative = Annotated[float, Range("at least 0 and at most 1e38", lambda number: 0 <= number <= 1e38)]


def count(text: str) -> int:
    """A `Count` of a command line: argparse's `type`."""
    number = int(text)
    if not COUNTS.holds(number):
        raise argparse.ArgumentTypeError(f"found {number}, expected {COUNTS}")
    return number


def check_ranges(settings: Any) -> None:
    """Raise ValueError if a field of a dataclass is outside its `Range`, wherever it comes from."""
    for name, kind in get_type_hints(type(settings), include_extras=True).items():
        for expected in get_args(kind)[1:]:
            if isinstance(expected, Range) and not expected.holds(getattr(settings, name)):
                raise ValueError(f"`{name}` is {getattr(settings, name)}, expected {expected}.")
