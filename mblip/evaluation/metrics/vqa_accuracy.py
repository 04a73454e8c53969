"""VQA accuracy, as the official evaluator computes it.

We compare an answer with those of the annotators (ten per question). Leave out one annotator and count the `hits` of
the answer among the others; the score is min(1, hits / 3). The accuracy is the mean of this score over all annotators.
Three hits among ten annotators give 0.9, and four give 1.

Source: `VQAEval.evaluate` of PythonEvaluationTools/vqaEvaluation/vqaEval.py of GT-Vision-Lab/VQA (Antol et al., VQA:
Visual Question Answering, ICCV 2015). It cleans answers (vqa_cleaning.py) only if the annotators disagree. If all of
them gave the same answer, only that exact text is right: "Yes" is wrong if all said "yes".
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

    `num_empty` answers are empty. The official evaluator credits an empty answer if annotators gave an empty answer,
    or only an article or a punctuation mark. `num_empty_credited` counts these.
    """

    accuracy: float
    per_question: tuple[float, ...]
    num_empty: int
    num_empty_credited: int


@dataclass(frozen=True)
class OfficialVqaSummary:
    """The summary that the official evaluator prints, in per cent, rounded to two digits."""

    overall: float
    per_question_type: Mapping[str, float]
    per_answer_type: Mapping[str, float]
    per_question: tuple[float, ...]


def vqa_accuracy(answer: str, references: Sequence[str]) -> float:
    """The accuracy of an answer, from 0 to 1.

    Args:
        references: the answers of all annotators, including repetitions.

    Raises:
        ValueError: there are fewer than two references.
    """
    check_reference_lists([answer], [references], at_least=2)
    straight = [straighten(reference) for reference in references]
    if straight.count(straight[0]) == len(straight):
        comparable = straighten(answer)
    else:
        comparable = clean_vqa_answer(answer)
        straight = [clean_vqa_answer(reference) for reference in straight]
    return share_of_annotators(comparable, straight)


def share_of_annotators(answer: str, references: Sequence[str]) -> float:
    """The accuracy of an answer that is compared with the annotators' answers as they are."""
    num_hits = references.count(answer)
    if num_hits == 0:
        return 0.0
    # Sum in the order of the annotators: another order may change the last bit, and then the rounding.
    shares = [min(1, (num_hits - (reference == answer)) / FULL_SCORE_HITS) for reference in references]
    return float(sum(shares)) / len(shares)


def score_vqa(answers: Sequence[str], references: Sequence[Sequence[str]]) -> VqaScores:
    """The accuracy of answers; `references` holds the annotators' answers to each question.

    Raises:
        ValueError: answers and references differ in length or are empty, or a question has fewer than two references.
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
        accuracies: in the order of the annotation file.
        question_types: `question_type` of each annotation, such as "what color is".
        answer_types: `answer_type` of each annotation: "yes/no", "number" or "other".

    Raises:
        ValueError: the three differ in length, or are empty.
    """
    if not len(accuracies) == len(question_types) == len(answer_types) or not accuracies:
        raise ValueError(
            f"Found {len(accuracies)} accuracies, {len(question_types)} question types and {len(answer_types)} answer "
            "types, expected one of each per question and at least one question."
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
