"""MaXM: an answer is right where it equals one of the processed answers, but for case and space around it.

Source: `vqa_maxm_classification_evaluation` in src/tasks/vllm/evaluation.py of gregor-ge/mBLIP, which cleans nothing:
the answers are in seven languages, for which the rules of vqa_cleaning.py were not made, and the references are the
`processed_answers` of MaXM (Changpinyo et al., MaXM: Towards Multilingual Visual Question Answering, 2023), which hold
the variants that count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .answers import check_reference_lists, count_empty


@dataclass(frozen=True)
class MaxmScores:
    """The share of right answers from 0 to 1, and which are right; `num_empty` answers are empty and never right."""

    accuracy: float
    is_right: tuple[bool, ...]
    num_empty: int


def is_maxm_match(answer: str, references: Sequence[str]) -> bool:
    """Whether the answer equals one of the references, in lower case and without space around them."""
    comparable = answer.strip().lower()
    return bool(comparable) and any(comparable == reference.lower().strip() for reference in references)


def score_maxm(answers: Sequence[str], references: Sequence[Sequence[str]]) -> MaxmScores:
    """The accuracy of answers; `references` are the processed answers to each question.

    Raises:
        ValueError: the two are of unequal length or empty, or a question has no reference.
    """
    check_reference_lists(answers, references)
    is_right = tuple(is_maxm_match(*pair) for pair in zip(answers, references, strict=True))
    return MaxmScores(sum(is_right) / len(is_right), is_right, count_empty(answers))
