"""VQA accuracy, as the official evaluator computes it.

An answer is compared with those of the annotators (ten a question). Leaving out one annotator at a time, it scores
min(1, hits / 3) with `hits` of the others having given it, and its accuracy is the mean of these. So three equal
answers of ten give 0.9, and four give 1.

Source: `VQAEval.evaluate` of PythonEvaluationTools/vqaEvaluation/vqaEval.py of GT-Vision-Lab/VQA (Antol et al., VQA:
Visual Question Answering, ICCV 2015). It cleans answers (vqa_cleaning.py) only where the annotators disagree; where
all gave the same answer, only that very text is right, so that "Yes" is wrong where all said "yes".
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .answers import check_reference_lists, count_empty, is_empty
from .vqa_cleaning import clean_vqa_answer, straighten

PRECISION = 2  # digits of the official summary
FULL_SCORE_HITS = 3


@dataclass(frozen=True)
class VqaScores:
    """The accuracy of each answer, from 0 to 1, unrounded, and their mean.

    `num_empty` of the answers are empty. Where annotators themselves left the answer empty, or gave nothing but an
    article or a mark, the official evaluator finds an empty answer right: that happened to `num_empty_credited`.
    """

    accuracy: float
    per_question: tuple[float, ...]
    num_empty: int
    num_empty_credited: int


@dataclass(frozen=True)
class OfficialVqaSummary:
    """What the official evaluator prints: per cent, rounded to two digits."""

    overall: float
    per_question_type: Mapping[str, float]
    per_answer_type: Mapping[str, float]
    per_question: tuple[float, ...]


def vqa_accuracy(answer: str, references: Sequence[str]) -> float:
    """The accuracy of an answer, from 0 to 1.

    Args:
        references: the answers of all annotators, equal ones as often as they were given.

    Raises:
        ValueError: there are fewer than two references, so that nobody is left when one is skipped.
    """
    check_reference_lists([answer], [references], at_least=2)
    straight = [straighten(reference) for reference in references]
    if straight.count(straight[0]) == len(straight):
        comparable = straighten(answer)
    else:
        comparable = clean_vqa_answer(answer)
        straight = [clean_vqa_answer(reference) for reference in straight]
    num_hits = straight.count(comparable)
    if num_hits == 0:
        return 0.0
    # In the order of the annotators: another order may change the last bit, and with it a rounding.
    shares = [min(1, (num_hits - (reference == comparable)) / FULL_SCORE_HITS) for reference in straight]
    return float(sum(shares)) / len(shares)


def score_vqa(answers: Sequence[str], references: Sequence[Sequence[str]]) -> VqaScores:
    """The accuracy of answers; `references` are the annotators' answers to each.

    Raises:
        ValueError: the two are of unequal length or empty, or a question has fewer than two references.
    """
    check_reference_lists(answers, references, at_least=2)
    per_question = tuple(vqa_accuracy(*pair) for pair in zip(answers, references, strict=True))
    return VqaScores(
        accuracy=math.fsum(per_question) / len(per_question),
        per_question=per_question,
        num_empty=count_empty(answers),
        num_empty_credited=sum(is_empty(a) and score > 0 for a, score in zip(answers, per_question, strict=True)),
    )


def official_vqa_summary(
    accuracies: Sequence[float], question_types: Sequence[str], answer_types: Sequence[str]
) -> OfficialVqaSummary:
    """The official summary of accuracies from 0 to 1.

    Args:
        accuracies: in the order of the annotation file, as the evaluator goes through it.
        question_types: `question_type` of each annotation, such as "what color is".
        answer_types: `answer_type` of each annotation: "yes/no", "number" or "other".

    Raises:
        ValueError: the three are of unequal length, or empty.
    """
    if not len(accuracies) == len(question_types) == len(answer_types) or not accuracies:
        raise ValueError(
            f"Found {len(accuracies)} accuracies, {len(question_types)} question types and {len(answer_types)} answer "
            "types, expected one of each for every question, at least one."
        )
    return OfficialVqaSummary(
        overall=_percent(accuracies),
        per_question_type=_percent_by(question_types, accuracies),
        per_answer_type=_percent_by(answer_types, accuracies),
        per_question=tuple(round(100 * accuracy, PRECISION) for accuracy in accuracies),
    )


def _percent(accuracies: Sequence[float]) -> float:
    return round(100 * float(sum(accuracies)) / len(accuracies), PRECISION)


def _percent_by(types: Sequence[str], accuracies: Sequence[float]) -> dict[str, float]:
    groups: dict[str, list[float]] = defaultdict(list)
    for name, accuracy in zip(types, accuracies, strict=True):
        groups[name].append(accuracy)
    return {name: _percent(group) for name, group in groups.items()}
