"""POPE: yes-or-no questions about whether an object is in an image. "yes" is the positive class.

We read answers as POPE's evaluate.py does (Li et al., Evaluating Object Hallucination in Large Vision-Language Models,
EMNLP 2023). It takes the text before the first full stop, removes commas and splits at spaces. The answer is "no" if
one of these words is "No", "no" or "not", and "yes" otherwise. "NO", "No!" and "I cannot tell" are therefore read as
"yes". We count the answers read as yes without that word, because an evasive model otherwise looks like one that sees
everything.

evaluate.py also reads an empty answer as "yes". Here it is neither and always wrong. empty="yes" restores POPE's rule.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from .answers import check_pairs, count_empty, is_empty

YesNo = Literal["yes", "no"]
EmptyAnswers = Literal["wrong", "yes"]
_SAYS_NO = frozenset(("No", "no", "not"))
_WORD_YES = re.compile(r"\byes\b", re.IGNORECASE)


@dataclass(frozen=True)
class YesNoScores:
    """POPE's five figures, from 0 to 1, and which answers are right.

    `precision` is None if no answer is yes, `recall` if no label is yes, and `f1` if both are None. `read` holds how
    each answer was read; None: as neither. `num_empty` answers are empty. `is_assumed_yes`: which answers were read as
    yes but do not contain the word; there are `num_assumed_yes`.
    """

    accuracy: float
    precision: float | None
    recall: float | None
    f1: float | None
    yes_share: float
    is_right: tuple[bool, ...]
    read: tuple[YesNo | None, ...]
    is_assumed_yes: tuple[bool, ...]
    num_empty: int

    @property
    def num_assumed_yes(self) -> int:
        return sum(self.is_assumed_yes)


def read_yes_no(answer: str) -> YesNo:
    """Read an answer as POPE's evaluate.py does. An empty answer is "yes"."""
    words = answer.partition(".")[0].replace(",", "").split(" ")
    return "yes" if _SAYS_NO.isdisjoint(words) else "no"


def score_yes_no(answers: Sequence[str], labels: Sequence[str], *, empty: EmptyAnswers = "wrong") -> YesNoScores:
    """POPE's figures for answers.

    Args:
        labels: "yes" or "no" for each answer.
        empty: how to read an empty answer: always "wrong" (and not as a yes), or "yes", as in POPE's evaluate.py.

    Raises:
        ValueError: answers and labels differ in length or are empty, or a label is neither "yes" nor "no".
    """
    check_pairs(answers, labels)
    if empty not in get_args(EmptyAnswers):
        raise ValueError(f"Found empty={empty!r}, expected one of {', '.join(get_args(EmptyAnswers))}.")
    for position, label in enumerate(labels):
        if label not in get_args(YesNo):
            raise ValueError(f"Label {position} is {label!r}, expected 'yes' or 'no'.")
    read = tuple(None if empty == "wrong" and is_empty(answer) else read_yes_no(answer) for answer in answers)
    is_right = tuple(found == label for found, label in zip(read, labels, strict=True))
    num_yes, num_yes_labels = read.count("yes"), labels.count("yes")
    num_true_yes = sum(label == "yes" and right for label, right in zip(labels, is_right, strict=True))
    precision = num_true_yes / num_yes if num_yes else None
    recall = num_true_yes / num_yes_labels if num_yes_labels else None
    return YesNoScores(
        accuracy=sum(is_right) / len(is_right),
        precision=precision,
        recall=recall,
        f1=_f1(precision, recall),
        yes_share=num_yes / len(read),
        is_right=is_right,
        read=read,
        is_assumed_yes=tuple(
            found == "yes" and _WORD_YES.search(answer) is None for found, answer in zip(read, answers, strict=True)
        ),
        num_empty=count_empty(answers),
    )


def _f1(precision: float | None, recall: float | None) -> float | None:
    if precision is None and recall is None:
        return None
    if not precision or not recall:  # one of them is 0 or undefined
        return 0.0
    return 2 * precision * recall / (precision + recall)
