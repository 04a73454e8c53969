"""GQA and xGQA: an answer is right if it equals the reference after cleaning.

Both figures follow `classification_evaluation` in src/tasks/vllm/evaluation.py of gregor-ge/mBLIP. It cleans the
answer as the VQA evaluator does (vqa_cleaning.py), but only lower-cases the reference. No answer can equal a reference
that cleaning would change, such as "t-shirt" or "taking a photo". GQA's vocabulary has eight of these among 1,842
answers. We count them and keep the rule, so that figures stay comparable.

In the relaxed match the answer only has to begin or end with the reference. It compares letters, not words: "nothing"
begins with "no".

One difference: the original deletes line breaks and tabs, which joins the words around them. We replace them by
spaces.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .answers import check_pairs, count_empty
from .vqa_cleaning import clean_vqa_answer


@dataclass(frozen=True)
class GqaScores:
    """Shares of right answers, from 0 to 1, and which answers are right.

    `num_empty` answers are empty and always wrong. `num_unreachable` references differ from their cleaned form, so no
    answer can equal them.
    """

    accuracy: float
    relaxed_accuracy: float
    is_right: tuple[bool, ...]
    is_relaxed_right: tuple[bool, ...]
    num_empty: int
    num_unreachable: int


def is_gqa_match(answer: str, reference: str) -> bool:
    """Whether the cleaned answer equals the reference. Raises ValueError for an empty reference."""
    return clean_vqa_answer(answer) == _comparable(reference)


def is_relaxed_gqa_match(answer: str, reference: str) -> bool:
    """Whether the cleaned answer begins or ends with the reference. Raises ValueError for an empty reference."""
    cleaned, expected = clean_vqa_answer(answer), _comparable(reference)
    return cleaned.startswith(expected) or cleaned.endswith(expected)


def score_gqa(answers: Sequence[str], references: Sequence[str]) -> GqaScores:
    """Exact and relaxed accuracy of answers with one reference each.

    Raises:
        ValueError: answers and references differ in length or are empty, or a reference is empty.
    """
    check_pairs(answers, references)
    pairs = list(zip(answers, references, strict=True))
    is_right = tuple(is_gqa_match(*pair) for pair in pairs)
    is_relaxed_right = tuple(is_relaxed_gqa_match(*pair) for pair in pairs)
    return GqaScores(
        accuracy=sum(is_right) / len(pairs),
        relaxed_accuracy=sum(is_relaxed_right) / len(pairs),
        is_right=is_right,
        is_relaxed_right=is_relaxed_right,
        num_empty=count_empty(answers),
        num_unreachable=sum(clean_vqa_answer(reference) != _comparable(reference) for reference in references),
    )


def _comparable(reference: str) -> str:
    comparable = reference.lower().strip()
    if not comparable:
        raise ValueError("Found an empty reference, expected an answer. Remove questions without an answer.")
    return comparable
