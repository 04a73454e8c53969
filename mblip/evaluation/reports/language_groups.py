"""Groups languages by script and by resource level.

The resource level depends on the language's share of mC4, the corpus of mT5 (`languages.tsv`): high from 1 %, middle
from 0.1 %, low below. Languages outside the training mix are `unseen`.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..languages import EvaluationLanguage, evaluation_language
from ..results import Score

HIGH_FROM_PERCENT = 1.0
MIDDLE_FROM_PERCENT = 0.1


@dataclass(frozen=True)
class GroupScore:
    """The mean of the main figure over a group's languages, with equal weights."""

    num_languages: int
    num_prompts: int
    mean: float


def resource_level(language: EvaluationLanguage) -> str:
    """`high`, `middle`, `low` or `unseen`."""
    if not language.is_seen:
        return "unseen"
    if language.mc4_share_percent >= HIGH_FROM_PERCENT:
        return "high"
    return "middle" if language.mc4_share_percent >= MIDDLE_FROM_PERCENT else "low"


def script(language: EvaluationLanguage) -> str:
    """The language's script, ISO 15924."""
    return language.script


def group_scores(scores: Mapping[str, Score], group_of: Callable[[EvaluationLanguage], str]) -> dict[str, GroupScore]:
    """The scores of one condition by group, the largest group first.

    Args:
        scores: language -> score, as from `Results.by_language`.
        group_of: `resource_level` or `script`.
    """
    groups: dict[str, list[Score]] = defaultdict(list)
    for code, score in scores.items():
        groups[group_of(evaluation_language(code))].append(score)
    return {
        name: GroupScore(
            num_languages=len(group),
            num_prompts=sum(score.num_prompts for score in group),
            mean=sum(score.value for score in group) / len(group),
        )
        for name, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    }
