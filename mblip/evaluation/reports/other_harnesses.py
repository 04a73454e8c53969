"""Warns where another harness, or another rule, gives the same answers another figure."""

from ..results import Results

MIN_DIFFERENCE = 0.01  # a point of 100


def harness_warnings(results: Results) -> list[str]:
    """A line for each condition and figure of `Results.others` that differs from the main figure by more than a point
    in some language. It names the languages, with both figures times 100."""
    lines = []
    for condition in results.conditions:
        scores = results.by_language(condition)
        for figure, rule in results.others.items():
            values = {code: (score.value, score.figures.get(figure, score.value)) for code, score in scores.items()}
            differing = [
                f"{code} {100 * other:.1f} against {100 * main:.1f}"
                for code, (main, other) in values.items()
                if abs(other - main) > MIN_DIFFERENCE
            ]
            if differing:
                lines.append(
                    f"{condition}: on the same answers, `{figure}` ({rule}) differs from `{results.metric}` by more "
                    f"than a point: {', '.join(differing)}. Compare only figures of one rule."
                )
    return lines
