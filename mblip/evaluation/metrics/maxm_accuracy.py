"""MaXM: an answer is right if it equals one of the processed answers, ignoring case and surrounding space.

Source: `vqa_maxm_classification_evaluation` in src/tasks/vllm/evaluation.py of gregor-ge/mBLIP. It does not clean
answers: they are in seven languages, and the rules of vqa_cleaning.py are for English. The references are the
`processed_answers` of MaXM (Changpinyo et al., MaXM: Towards Multilingual Visual Question Answering, 2023), which
contain the accepted variants.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .answers import check_reference_lists, count_empty


@dataclass(frozen=True)
class MaxmScores:
    """The share of right answers, from 0 to 1, and which are right. `num_empty` answers are empty and always wrong."""

    accuracy: float
    is_right: tuple[bool, ...]
    num_empty: int


def is_maxm_match(answer: str, references: Sequence[str]) -> bool:
    """Whether the answer equals one of the references, ignoring case and surrounding space."""
    comparable = answer.strip().lower()
    return bool(comparable) and any(comparable == reference.lower().strip() for reference in references)


def score_maxm(answers: Sequence[str], references: Sequence[Sequence[str]]) -> MaxmScores:
    """The accuracy of answers; `references` holds the processed answers to each question.

    Raises:
        ValueError: answers and references differ in length or are empty, or a question has no reference.
    """
    check_reference_lists(answers, references)
    is_right = tuple(is_maxm_match(*pair) for pair in zip(answers, references, strict=True))
    return MaxmScores(sum(is_right) / len(is_right), is_right, count_empty(answers))
