"""The numbers that a recipe's field takes, as part of its type: `num_images: Count`.

`strict_loading` refuses all others, with file and line. A number is always finite.
"""

import argparse
import sys
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_type_hints

MOST = 2**31 - 1


@dataclass(frozen=True)
class Range:
    """From `low` to `high`. Both are included unless a flag says otherwise. Without limits: every finite number."""

    low: float = -sys.float_info.max
    high: float = sys.float_info.max
    excludes_low: bool = False
    excludes_high: bool = False

    def __contains__(self, value: float) -> bool:
        is_excluded = (self.excludes_low and value == self.low) or (self.excludes_high and value == self.high)
        return self.low <= value <= self.high and not is_excluded

    def __str__(self) -> str:
        low = f"{'above' if self.excludes_low else 'at least'} {self.low}"
        high = f"{'below' if self.excludes_high else 'at most'} {self.high}"
        limits = [low] * (self.low > -sys.float_info.max) + [high] * (self.high < sys.float_info.max)
        return " and ".join(limits) or "a finite number"


COUNTS = Range(1, MOST)
Count = Annotated[int, COUNTS]
CountOrZero = Annotated[int, Range(0, MOST)]
Seed = Annotated[int, Range(0, 2**32 - 1)]  # what torch and NumPy take
Share = Annotated[float, Range(0, 1)]
Positive = Annotated[float, Range(0, excludes_low=True)]
ShareBelow1 = Annotated[float, Range(0, 1, excludes_high=True)]
NotNegative = Annotated[float, Range(0)]


def count(text: str) -> int:
    """A `Count` of a command line: argparse's `type`."""
    number = int(text)
    if number not in COUNTS:
        raise argparse.ArgumentTypeError(f"found {number}, expected {COUNTS}")
    return number


def check_ranges(settings: Any) -> None:
    """Raise ValueError if a field of a dataclass is outside its `Range`, wherever it comes from."""
    for name, kind in get_type_hints(type(settings), include_extras=True).items():
        for expected in get_args(kind)[1:]:
            if isinstance(expected, Range) and getattr(settings, name) not in expected:
                raise ValueError(f"`{name}` is {getattr(settings, name)}, expected {expected}.")
