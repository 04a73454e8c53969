"""Checks that metrics of texts share, and the count of empty answers."""

from collections.abc import Collection, Sequence
from typing import Any


def check_text(text: object, name: str) -> None:
    """Raise TypeError unless this is text."""
    if not isinstance(text, str):
        raise TypeError(f"{name} is {text!r:.80}, expected text. Leave it out, or give an empty text.")


def check_pairs(answers: Sequence[str], references: Sequence[Any]) -> None:
    """Raise ValueError unless each answer has one reference (or list of references) and there is at least one.

    Raises:
        TypeError: an answer is no text, or a reference neither text nor a collection.
    """
    if len(answers) != len(references) or len(answers) == 0:
        raise ValueError(
            f"Found {len(answers)} answers and {len(references)} references, expected one reference for each answer "
            "and at least one answer. Give both in the same order."
        )
    for position, (answer, reference) in enumerate(zip(answers, references, strict=True)):
        check_text(answer, f"Answer {position}")
        if not isinstance(reference, Collection):
            check_text(reference, f"The reference of answer {position}")


def check_reference_lists(answers: Sequence[str], references: Sequence[Sequence[str]], *, at_least: int = 1) -> None:
    """Raise ValueError unless each answer has a list of at least `at_least` references."""
    check_pairs(answers, references)
    for position, group in enumerate(references):
        if isinstance(group, str) or len(group) < at_least:
            found = f"the string {group!r}" if isinstance(group, str) else f"{len(group)} references"
            raise ValueError(f"Answer {position}: found {found}, expected a list of at least {at_least} references.")
        for number, reference in enumerate(group):
            check_text(reference, f"Reference {number} of answer {position}")


def is_empty(answer: str) -> bool:
    """Whether an answer is blank."""
    return not answer.strip()


def count_empty(answers: Sequence[str]) -> int:
    """The number of blank answers."""
    return sum(is_empty(answer) for answer in answers)
