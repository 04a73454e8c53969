"""Warns where another harness, or another rule, gives the same answers another figure, or one to a constant answer."""

from statistics import mean

from ..answer_scoring import AnswerMetric
from ..metrics.bootstrap import ROUNDING
from ..results import Results

CONSTANT = "no, nothing on the left or right, yes"  # contains the most frequent answers of GQA
MIN_DIFFERENCE = 0.01  # a point of 100


def harness_warnings(results: Results) -> list[str]:
    """A line for each condition and figure of `Results.others` that differs from the main figure by more than a point
    in some language. It names the languages, with both figures times 100."""
    lines = constant_answers(results) if results.metric == "accuracy_pangea" else []
    for condition in results.conditions:
        scores = results.by_language(condition)
        for figure, rule in results.others.items():
            values = {code: (score.value, score.figures.get(figure, score.value)) for code, score in scores.items()}
            differing = [
                f"{code} {100 * other:.1f} against {100 * main:.1f}"
                for code, (main, other) in values.items()
                if abs(other - main) > MIN_DIFFERENCE + ROUNDING
            ]
            if differing:
                lines.append(
                    f"{condition}: on the same answers, `{figure}` ({rule}) differs from `{results.metric}` by more "
                    f"than a point: {', '.join(differing)}. Compare only figures of one rule."
                )
    return lines


def constant_answers(results: Results) -> list[str]:
    """A line for each condition that says what the main figure gives to one constant answer, the mean of languages."""
    metric = results.metric_record.build() if results.metric_record is not None and results.predictions else None
    rule = metric.rules[metric.main] if isinstance(metric, AnswerMetric) else None
    if rule is None or rule.score is None:
        return []
    lines = []
    for condition in results.conditions:
        answers = [results.answers(condition, language) for language in results.by_language(condition)]
        share = mean(mean(rule.score(CONSTANT, answer.references) for answer in group) for group in answers)
        lines.append(f"{condition}: the constant answer {CONSTANT!r} gets {100 * share:.1f} by `{results.metric}`.")
    return lines
