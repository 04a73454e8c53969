"""Checks that the metrics of answers share, and the count of empty answers."""

from collections.abc import Sequence
from typing import Any


def check_pairs(answers: Sequence[str], references: Sequence[Any]) -> None:
    """Raise ValueError unless each answer has one reference (or list of references) and there is at least one."""
    if len(answers) != len(references) or len(answers) == 0:
        raise ValueError(
            f"Found {len(answers)} answers and {len(references)} references, expected one reference for each answer "
            "and at least one answer. Give both in the same order."
        )


def check_reference_lists(answers: Sequence[str], references: Sequence[Sequence[str]], *, at_least: int = 1) -> None:
    """Raise ValueError unless each answer has a list of at least `at_least` references."""
    check_pairs(answers, references)
    for position, group in enumerate(references):
        if isinstance(group, str) or len(group) < at_least:
            found = f"the string {group!r}" if isinstance(group, str) else f"{len(group)} references"
            raise ValueError(f"Answer {position}: found {found}, expected a list of at least {at_least} references.")


def is_empty(answer: str) -> bool:
    """Whether an answer is blank."""
    return not answer.strip()


def count_empty(answers: Sequence[str]) -> int:
    """The number of blank answers."""
    return sum(is_empty(answer) for answer in answers)
