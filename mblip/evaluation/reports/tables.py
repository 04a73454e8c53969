"""Results as a Markdown table: a row per language, a column per model and condition."""

from collections.abc import Mapping, Sequence

from ..languages import EvaluationLanguage, evaluation_language
from ..metrics.intervals import Interval
from ..results import Ratio, Score
from .language_groups import GroupScore

Cell = Score | Ratio
MISSING = "–"
UNSEEN_MARK = " †"


def markdown_table(columns: Mapping[str, Mapping[str, Cell]], languages: Sequence[str] | None = None) -> str:
    """A table of percentages with 95 % intervals. The last row is the mean of each column over its languages.

    Args:
        columns: heading -> language -> score or ratio. Missing languages get a dash.
        languages: the rows; None: all languages of the columns, in order of first appearance.

    Raises:
        ValueError: there is nothing to show, or a language is unknown.
    """
    rows = list(languages or dict.fromkeys(language for cells in columns.values() for language in cells))
    if not rows or not columns:
        raise ValueError(f"Found {len(columns)} columns and {len(rows)} languages, expected at least one of each.")
    lines = [_line("Language", "Script", *columns), _line("---", "---", *["---:"] * len(columns))]
    for code in rows:
        language = evaluation_language(code)
        cells = [_cell(column.get(code)) for column in columns.values()]
        lines.append(_line(_name(language), language.script, *cells))
    means = [_mean([column[code] for code in rows if code in column]) for column in columns.values()]
    lines.append(_line(f"mean of {len(rows)}", "", *means))
    return "\n".join([*lines, "", *_notes(columns), ""])


def group_table(heading: str, columns: Mapping[str, Mapping[str, GroupScore]]) -> str:
    """A table of means over the languages of each group. It has no intervals: languages share images, so their scores
    are not independent.

    Args:
        columns: heading -> group -> score. Missing groups get a dash.
    """
    names = dict.fromkeys(name for groups in columns.values() for name in groups)
    lines = [_line(heading, *columns), _line("---", *["---:"] * len(columns))]
    lines += [_line(name, *[_group_cell(groups.get(name)) for groups in columns.values()]) for name in names]
    return "\n".join([*lines, "", "Mean, each language counted alike."])


def _name(language: EvaluationLanguage) -> str:
    """The name with a mark if the language is not in the training mix."""
    return f"{language.name} (`{language.code}`){'' if language.is_seen else UNSEEN_MARK}"


def _group_cell(score: GroupScore | None) -> str:
    if score is None:
        return MISSING
    return f"{_percent(score.mean)} (languages: {score.num_languages}, answers: {score.num_prompts})"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Cell | None) -> str:
    return MISSING if value is None else f"{_percent(value.value)} {_interval(value.interval)}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _interval(interval: Interval) -> str:
    return f"[{_percent(interval.low)}, {_percent(interval.high)}]"


def _mean(cells: Sequence[Cell]) -> str:
    return _percent(sum(cell.value for cell in cells) / len(cells)) if len(cells) > 1 else MISSING


def _notes(columns: Mapping[str, Mapping[str, Cell]]) -> list[str]:
    """Notes on the figures, and on empty or cut answers."""
    notes = [
        "Times 100, with 95 % intervals (Wilson's of shares of right answers, Bonett and Price's of ratios, paired by "
        "image; else by the bootstrap over images)."
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
                per_language = ", ".join(f"{language} {count}" for language, count in found.items())
                notes.append(f"{heading}: {sum(found.values())} answers {what}, counted as given ({per_language}).")
    return notes
