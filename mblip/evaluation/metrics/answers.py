"""What the metrics of answers share: answers go with references one to one, and empty ones are counted."""

from collections.abc import Sequence
from typing import Any


def check_pairs(answers: Sequence[str], references: Sequence[Any]) -> None:
    """Raises ValueError unless there is one reference, or list of references, for each answer, and at least one."""
    if len(answers) != len(references) or len(answers) == 0:
        raise ValueError(
            f"Found {len(answers)} answers and {len(references)} references, expected one reference for each answer, "
            "at least one. Give both in the same order."
        )


def check_reference_lists(answers: Sequence[str], references: Sequence[Sequence[str]], *, at_least: int = 1) -> None:
    """Raises ValueError unless there is a list of at least `at_least` references for each answer."""
    check_pairs(answers, references)
    for position, group in enumerate(references):
        if isinstance(group, str) or len(group) < at_least:
            found = f"the text {group!r}" if isinstance(group, str) else f"{len(group)} references"
            raise ValueError(f"Answer {position}: found {found}, expected a list of at least {at_least} of them.")


def is_empty(answer: str) -> bool:
    """Whether a model said nothing."""
    return not answer.strip()


def count_empty(answers: Sequence[str]) -> int:
    """How many answers say nothing."""
    return sum(is_empty(answer) for answer in answers)
