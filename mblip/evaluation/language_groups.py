"""Groups languages by script and by resource level.

The resource level depends on the language's share of mC4, the corpus of mT5 (`languages.tsv`): high from 1 %, middle
from 0.1 %, low below. Languages outside the training mix are `unseen`.
"""

from collections import defaultdict
from collections.abc import Sequence

from mblip.data.languages import ENGLISH

from .languages import EvaluationLanguage, evaluation_language

ALL, ALL_BUT_ENGLISH = "all", "all but English"
LEVELS = ("high", "middle", "low", "unseen")
HIGH_FROM_PERCENT = 1.0
MIDDLE_FROM_PERCENT = 0.1


def resource_level(language: EvaluationLanguage) -> str:
    """`high`, `middle`, `low` or `unseen`."""
    if not language.is_seen:
        return "unseen"
    if language.mc4_share_percent >= HIGH_FROM_PERCENT:
        return "high"
    return "middle" if language.mc4_share_percent >= MIDDLE_FROM_PERCENT else "low"


def groups_of(codes: Sequence[str]) -> dict[str, list[str]]:
    """The languages of each group: `all`, `all but English`, the resource levels, the scripts."""
    groups: dict[str, list[str]] = defaultdict(list)
    for code in codes:
        language = evaluation_language(code)
        names = (ALL, *([] if code == ENGLISH else [ALL_BUT_ENGLISH]), resource_level(language), language.script)
        for name in names:
            groups[name].append(code)
    return groups
