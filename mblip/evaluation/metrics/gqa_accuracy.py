"""GQA and xGQA: an answer is right where, cleaned, it is the reference.

Both figures are those of `classification_evaluation` in src/tasks/vllm/evaluation.py of gregor-ge/mBLIP. It cleans the
answer as the VQA evaluator does (vqa_cleaning.py), but takes the reference in lower case as it is: a reference that
cleaning changes, such as "t-shirt" or "taking a photo", is one that no answer can reach. Of the 1,842 answers of GQA's
vocabulary there are eight; they are counted, not mended, so that figures can be compared.

Relaxed, the answer need only begin or end with the reference. Letters decide, not words: "nothing" begins with "no".

One difference: the original deletes line breaks and tabs and so joins the words around them; here they are spaces.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .answers import check_pairs, count_empty
from .vqa_cleaning import clean_vqa_answer


@dataclass(frozen=True)
class GqaScores:
    """Shares of right answers from 0 to 1, and which are right.

    `num_empty` of the answers are empty; they are never right. `num_unreachable` references differ from their cleaned
    form, so that no answer equals them.
    """

    accuracy: float
    relaxed_accuracy: float
    is_right: tuple[bool, ...]
    is_relaxed_right: tuple[bool, ...]
    num_empty: int
    num_unreachable: int


def is_gqa_match(answer: str, reference: str) -> bool:
    """Whether the cleaned answer is the reference; ValueError for an empty reference."""
    return clean_vqa_answer(answer) == _comparable(reference)


def is_relaxed_gqa_match(answer: str, reference: str) -> bool:
    """Whether the cleaned answer begins or ends with the reference; ValueError for an empty reference."""
    cleaned, expected = clean_vqa_answer(answer), _comparable(reference)
    return cleaned.startswith(expected) or cleaned.endswith(expected)


def score_gqa(answers: Sequence[str], references: Sequence[str]) -> GqaScores:
    """Exact and relaxed accuracy of answers, one reference for each.

    Raises:
        ValueError: the two are of unequal length or empty, or a reference is empty.
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
        raise ValueError("Found an empty reference, expected an answer: every answer begins with the empty text.")
    return comparable
