"""Results as a Markdown table: a row per language, a column per model and condition."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ..languages import EvaluationLanguage, evaluation_language
from ..metrics.intervals import Interval
from ..results import MeanScore, Ratio, Score

Cell = Score | Ratio | MeanScore
MISSING = "–"
FEW_IMAGES = 20  # with fewer the bootstrap covers the true mean much less often than promised (metrics/bootstrap.py)
UNSEEN_MARK = " †"


def markdown_table(
    columns: Mapping[str, Mapping[str, Cell]],
    languages: Sequence[str] | None = None,
    means: Mapping[str, Cell | None] = MappingProxyType({}),
) -> str:
    """A table of percentages with 95 % intervals.

    Args:
        columns: heading -> language -> score or ratio. Missing languages get a dash.
        languages: the rows; None: all languages of the columns, in order of first appearance.
        means: heading -> the mean over the column's languages, such as `Results.mean`, for the last row. A mean needs
            the answers for its interval, so it cannot come from the scores.

    Raises:
        ValueError: there is nothing to show, or a language is unknown.
    """
    rows = list(languages or dict.fromkeys(language for cells in columns.values() for language in cells))
    if not rows or not columns:
        raise ValueError(f"Found {len(columns)} columns and {len(rows)} languages, expected at least one of each.")
    lines = [line("Language", "Script", *columns), line("---", "---", *["---:"] * len(columns))]
    for code in rows:
        language = evaluation_language(code)
        cells = [cell(column.get(code)) for column in columns.values()]
        lines.append(line(language_name(language), language.script, *cells))
    if len(rows) > 1 and any(means.values()):
        shown = [means.get(heading) if len(column) > 1 else None for heading, column in columns.items()]
        lines.append(line(f"mean of {len(rows)}", "", *map(cell, shown)))
    return "\n".join([*lines, "", *_notes(columns), ""])


def group_table(heading: str, columns: Mapping[str, Mapping[str, MeanScore]]) -> str:
    """A table of means over the languages of each group, the largest group first.

    Args:
        columns: heading -> group -> mean. Missing groups get a dash.
    """
    sizes = {name: mean.num_languages for groups in columns.values() for name, mean in groups.items()}
    lines = [line(heading, "languages", *columns), line("---", "---:", *["---:"] * len(columns))]
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        lines.append(line(name, str(sizes[name]), *[cell(groups.get(name)) for groups in columns.values()]))
    return "\n".join(lines)


def cell(value: Cell | None) -> str:
    """A figure times 100 with its interval."""
    return MISSING if value is None else f"{_percent(value.value)} {_interval(value.interval)}"


def language_name(language: EvaluationLanguage) -> str:
    """Name and code, with a mark if the language is not in the training mix."""
    return f"{language.name} (`{language.code}`){'' if language.is_seen else UNSEEN_MARK}"


def line(*cells: str) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _interval(interval: Interval) -> str:
    return f"[{_percent(interval.low)}, {_percent(interval.high)}]"


def _notes(columns: Mapping[str, Mapping[str, Cell]]) -> list[str]:
    """Notes on the figures, and on empty or cut answers."""
    notes = [
        "Times 100, with 95 % intervals (Wilson's of shares of right answers, Bonett and Price's of ratios, paired by "
        "image; else by the bootstrap over images, the same ones in all languages). A mean counts each language alike."
    ]
    if not all(evaluation_language(code).is_seen for column in columns.values() for code in column):
        notes.append(f"{UNSEEN_MARK.strip()} not among the 96 languages of the training mix.")
    for heading, column in columns.items():
        scores = {language: cell for language, cell in column.items() if isinstance(cell, Score)}
        for what, counts in (
            ("empty", {language: score.num_empty for language, score in scores.items()}),
            ("cut at the longest length", {language: score.num_cut for language, score in scores.items()}),
        ):
            found = {language: count for language, count in counts.items() if count}
            if found:
                notes.append(f"{heading}: {sum(found.values())} answers {what}, counted as given ({_each(found)}).")
        few = {language: score.num_images for language, score in scores.items() if score.num_images < FEW_IMAGES}
        if few:
            notes.append(f"{heading}: fewer than {FEW_IMAGES} images, so these figures say little ({_each(few)}).")
    return notes


def _each(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{language} {count}" for language, count in counts.items())
