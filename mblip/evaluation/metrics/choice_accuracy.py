"""Accuracy of choices among a few candidates: yes, no or maybe (XVNLI), yes or no (MaRVL, NLVR2, image deciding).

An answer chooses a candidate if the two are equal after normalisation. We normalise as the VQA evaluator does
(vqa_cleaning.py) and also strip punctuation of any script around the answer. Longer answers choose nothing, and we
count them: "yes, it is" is not "yes".

Source: the exact accuracy of `classification_evaluation` in src/tasks/vllm/evaluation.py of gregor-ge/mBLIP, which
scores these tasks. It does not strip the punctuation around an answer, so "yes:" and "'yes'" are wrong there.

Counts per class show what accuracy hides, such as a model that never says "maybe".
"""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .answers import check_pairs, count_empty
from .vqa_cleaning import clean_vqa_answer


@dataclass(frozen=True)
class ClassCounts:
    """How often a candidate was the reference, was chosen, and was chosen rightly."""

    num_references: int
    num_chosen: int
    num_right: int


@dataclass(frozen=True)
class ChoiceScores:
    """The share of right choices, from 0 to 1. `chosen` holds the candidate of each answer, or None.

    `num_no_candidate` answers match no candidate; they are wrong. `num_empty` of these are empty.
    """

    accuracy: float
    is_right: tuple[bool, ...]
    chosen: tuple[str | None, ...]
    classes: Mapping[str, ClassCounts]
    num_no_candidate: int
    num_empty: int


def choose(answer: str, candidates: Sequence[str]) -> str | None:
    """The candidate that an answer chooses, or None.

    Raises:
        ValueError: two candidates are equal after normalisation, or one is empty.
    """
    return _by_normal_form(candidates).get(normalise_choice(answer))


def score_choices(answers: Sequence[str], references: Sequence[str], candidates: Sequence[str]) -> ChoiceScores:
    """The accuracy of answers. All of them have the same `candidates`.

    Raises:
        ValueError: answers and references differ in length or are empty, a reference is not a candidate, two
        candidates
            are equal after normalisation, or one is empty.
    """
    check_pairs(answers, references)
    for position, reference in enumerate(references):
        if reference not in candidates:
            raise ValueError(f"Reference {position} is {reference!r}, expected one of {', '.join(candidates)}.")
    by_normal_form = _by_normal_form(candidates)
    chosen = tuple(by_normal_form.get(normalise_choice(answer)) for answer in answers)
    is_right = tuple(choice == reference for choice, reference in zip(chosen, references, strict=True))
    return ChoiceScores(
        accuracy=sum(is_right) / len(is_right),
        is_right=is_right,
        chosen=chosen,
        classes=_class_counts(chosen, references, candidates),
        num_no_candidate=chosen.count(None),
        num_empty=count_empty(answers),
    )


def normalise_choice(text: str) -> str:
    """Normalise an answer or candidate for comparison."""
    cleaned = clean_vqa_answer(unicodedata.normalize("NFC", text))
    start, end = 0, len(cleaned)
    while start < end and _is_around(cleaned[start]):
        start += 1
    while end > start and _is_around(cleaned[end - 1]):
        end -= 1
    return cleaned[start:end]


def _is_around(character: str) -> bool:
    return character.isspace() or unicodedata.category(character).startswith("P")


def _by_normal_form(candidates: Sequence[str]) -> dict[str, str]:
    by_normal_form: dict[str, str] = {}
    for candidate in candidates:
        form = normalise_choice(candidate)
        if not form or form in by_normal_form:
            alike = f"equal to {by_normal_form[form]!r}" if form else "empty"
            raise ValueError(f"The candidate {candidate!r} is {alike} after normalisation. Use different words.")
        by_normal_form[form] = candidate
    return by_normal_form


def _class_counts(
    chosen: Sequence[str | None], references: Sequence[str], candidates: Sequence[str]
) -> dict[str, ClassCounts]:
    num_references, num_chosen = Counter(references), Counter(chosen)
    num_right = Counter(choice for choice, reference in zip(chosen, references, strict=True) if choice == reference)
    return {name: ClassCounts(num_references[name], num_chosen[name], num_right[name]) for name in candidates}
