"""Writes report.md, which you can use as a paper's appendix: how the evaluation was made, an overview, and for each
benchmark its charts, tables, prompts and skipped examples."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from mblip.atomic_write import write_text
from mblip.data.languages import ENGLISH

from ..answer_scoring import ACCURACY, ANSWER_TYPE, QUESTION_TYPE, ChoiceAccuracy, YesNoAccuracy
from ..language_groups import ALL, ALL_BUT_ENGLISH
from ..languages import evaluation_language
from ..metrics.choice_accuracy import choose
from ..metrics.yes_no import read_yes_no
from ..results import Results
from ..task import SHUFFLED
from .charts import draw_languages
from .files import conditions_table
from .tables import MISSING as DASH
from .tables import cell
from .template_spread import templates_table

REPORT_FILE, CHART_FOLDER = "report.md", "charts"
NUM_NAMES = 3  # names of skipped examples to show
MOST_COLUMNS = 12
CHOICE, YES_NO = (f"{metric.__module__}:{metric.__qualname__}" for metric in (ChoiceAccuracy, YesNoAccuracy))
MEANS = ("English", ALL, ALL_BUT_ENGLISH, "unseen")  # of the overview
OTHER = "no candidate"


def write_report(folder: str | Path, results: Mapping[str, Results], notes: Sequence[str] = ()) -> None:
    """Write report.md and its charts into a folder.

    Args:
        notes: what a reader must know about all figures, for example that images are stand-ins.
    """
    for name, result in results.items():
        for condition in _charted(result):
            draw_languages(result, condition, Path(folder, _chart(name, condition)))
    write_text(Path(folder, REPORT_FILE), report_text(results, notes))


def report_text(results: Mapping[str, Results], notes: Sequence[str] = ()) -> str:
    """The report as Markdown, with its charts in `charts/`."""
    parts = ["# Evaluation", _made(list(results.values())), *notes, "## Overview", _overview(results)]
    for name, result in results.items():
        parts += _benchmark(name, result)
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _made(results: Sequence[Results]) -> str:
    """Model, code and hardware, which all benchmarks of a run share."""
    first = results[0]
    model = f"Model: {first.model.name or 'not named'}"
    model += f", revision {first.model.revision}" if first.model.revision else ""
    model += f", an adapter on {first.model.base}" if first.model.base else ""
    model += f", revision {first.model.base_revision}" if first.model.base_revision else ""
    versions = ", ".join(f"{name} {found}" for name, found in first.versions.items() if found != "not installed")
    stand_ins = [result.task for result in results if result.has_stand_ins]
    minutes = sum(result.seconds for result in results) / 60
    lines = [
        f"- {model}; {first.model.precision}",
        f"- Code: {f'commit {first.commit}' if first.commit else 'commit not recorded'}; {versions}",
        f"- Hardware: {first.hardware}, {first.num_processes} process(es); {minutes:.1f} minutes in all",
    ]
    if first.system is not None:
        lines = [
            f"- Predictions of {first.system}: its prompts, decoding, weights and precision are not known",
            lines[1],
        ]
    if stand_ins:
        lines.append(f"- Images are drawn stand-ins for photos, so scores mean nothing: {', '.join(stand_ins)}")
    return "\n".join(lines)


def _overview(results: Mapping[str, Results]) -> str:
    """A row per benchmark and condition. Each protocol has its own table."""
    parts = []
    for protocol in dict.fromkeys(result.protocol_title for result in results.values()):
        lines = [
            f"Protocol `{protocol}`:",
            "",
            f"| benchmark | condition | figure | answered by | images | questions | languages | {' | '.join(MEANS)} |",
            f"| --- | --- | --- | --- |{' ---: |' * 7}",
        ]
        for name, result in results.items():
            if result.protocol_title == protocol:
                lines += [_overview_row(name, result, condition) for condition in result.conditions]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, "Times 100; each language counts alike."])


def _overview_row(name: str, result: Results, condition: str) -> str:
    scores = result.by_language(condition)
    named = f"{name}{result.title.removeprefix(result.task)}"  # with its marks
    images = max(mean.num_images for mean in result.means if mean.condition == condition)
    counts = (images, sum(score.num_prompts for score in scores.values()), len(scores))
    shown = (scores.get(ENGLISH), *(result.mean(condition, name) for name in MEANS[1:]))
    cells = [named, condition, result.metric_title, result.answering, *map("{:,}".format, counts), *map(cell, shown)]
    return f"| {' | '.join(cells)} |"


def _benchmark(name: str, result: Results) -> list[str]:
    """The section of a benchmark."""
    heading, _, rest = conditions_table(result).partition("\n")
    charts = [f"![{name}, {condition}]({_chart(name, condition).as_posix()})" for condition in _charted(result)]
    tables = [rest, templates_table(result), _figures(result), _types(result), _confusion(result), _prompts(result)]
    return [heading, "\n\n".join(charts), *tables, _source(result)]


def _charted(result: Results) -> list[str]:
    """The conditions that get a chart: those with several languages, without the shuffled control."""
    named = [condition for condition in result.conditions if condition != SHUFFLED]
    return [condition for condition in named if len(result.by_language(condition)) > 1]


def _chart(name: str, condition: str) -> Path:
    safe = "".join(letter if letter.isalnum() else "_" for letter in condition)
    return Path(CHART_FOLDER, f"{name}_{safe}.png")


def _figures(result: Results) -> str:
    """All figures of the metric but those by type, in their own units. Empty if there is only the main figure."""
    all_names = dict.fromkeys(name for score in result.scores for name in score.figures)
    names = [name for name in all_names if not name.startswith((f"{ANSWER_TYPE} ", f"{QUESTION_TYPE} "))]
    if len(names) < 2:
        return ""
    rows = [
        (
            [evaluation_language(score.language).name, score.condition, str(score.num_prompts)],
            {name: f"{value:.4f}" for name, value in score.figures.items()},
        )
        for score in result.scores
    ]
    return _table(["language", "condition", "answers"], names, rows, "Every figure, in its own unit:")


def _types(result: Results) -> str:
    """The main figure by type of answer and question (VQAv2): a row per type, a column per condition and language."""
    parts = []
    for fact in (ANSWER_TYPE, QUESTION_TYPE):
        scores: dict[str, dict[str, list[float]]] = {}
        for answer in result.predictions:
            if fact in answer.facts:
                of_type = scores.setdefault(answer.facts[fact], {})
                assert answer.score is not None  # an evaluation scores every answer
                of_type.setdefault(f"{answer.condition}, {answer.language}", []).append(answer.score)
        rows = [
            ([name, str(max(map(len, found.values())))], {column: f"{fmean(found[column]):.4f}" for column in found})
            for name, found in sorted(scores.items())
        ]
        columns = list(dict.fromkeys(column for found in scores.values() for column in found))
        parts += [_table([fact, "questions"], columns, rows, f"By {fact}:")] if rows else []
    return "\n\n".join(parts)


def _confusion(result: Results) -> str:
    """How often each right answer was answered by each candidate, in all languages and in each. Answers are read as
    for the figure `accuracy`, whatever the main one.

    Empty if the metric has no candidates, or the predictions are not there.
    """
    record = result.metric_record
    if record is None or record.path not in (CHOICE, YES_NO) or not result.predictions:
        return ""
    candidates = tuple(record.arguments.get("candidates", ("yes", "no")))
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for answer in result.predictions:
        chosen = choose(answer.output, candidates) if record.path == CHOICE else read_yes_no(answer.output)
        column = OTHER if chosen is None or answer.is_empty else chosen
        counts.update((answer.condition, group, answer.references[0], column) for group in (ALL, answer.language))
    parts = []
    for condition in result.conditions:
        languages = list(result.by_language(condition))
        rows = [
            ([group, right], {column: str(counts[condition, group, right, column]) for column in (*candidates, OTHER)})
            for group in ([ALL, *languages] if len(languages) > 1 else languages)
            for right in candidates
        ]
        title = f"Answers, {condition}{'' if result.metric == ACCURACY else f', read as for `{ACCURACY}`'}:"
        parts.append(_table(["language", "right answer"], [*candidates, OTHER], rows, title))
    return "\n\n".join(parts)


def _table(
    fixed: Sequence[str], names: Sequence[str], rows: Sequence[tuple[Sequence[str], Mapping[str, str]]], title: str
) -> str:
    """A table of cells by column name, in parts of at most `MOST_COLUMNS` columns, each with the `fixed` ones."""
    parts = [title]
    num = MOST_COLUMNS - len(fixed)
    for these in (names[start : start + num] for start in range(0, len(names), num)):
        lines = [(*fixed, *these), (*["---"] * len(fixed), *["---:"] * len(these))]
        lines += [(*cells, *(by_name.get(name, DASH) for name in these)) for cells, by_name in rows]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts)


def _prompts(result: Results) -> str:
    """The prompt of each condition's first example. Empty if they are not known."""
    if not result.prompts:
        return ""
    lines = [f"Prompts (of the first example; all are in `predictions_{result.task}.jsonl`):", ""]
    for condition, prompts in result.prompts.items():
        code = "en" if "en" in prompts else next(iter(prompts))
        lines.append(f"- {condition}, {evaluation_language(code).name}: `{_one_line(prompts[code])}`")
    return "\n".join(lines)


def _one_line(prompt: str) -> str:
    return prompt.replace("\n", "\\n")


def _source(result: Results) -> str:
    """The source of the benchmark, and the skipped examples."""
    parts = [f"Files: {result.origin.url} ({result.origin.license})."] if result.origin else []
    skipped = "; ".join(
        f"{reason}: {count:,} (such as {', '.join(result.left_out_names[reason][:NUM_NAMES])})"
        for reason, count in result.left_out.items()
    )
    parts.append(f"Skipped: {skipped or 'nothing'}.")
    return " ".join(parts)
