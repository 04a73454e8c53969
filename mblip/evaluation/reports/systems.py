"""Tables of several systems, each with one or several training seeds, for a paper.

    mblip tables outputs/evaluation/a outputs/evaluation/b
    mblip tables --system "mT5=outputs/mt5_1,outputs/mt5_2" --system "Llama=outputs/llama_1,outputs/llama_2"
    mblip tables outputs/evaluation/a outputs/evaluation/b --format latex > tables.tex

A folder is the output of `mblip eval` or `mblip score`; several folders of a system are its training seeds. Each
protocol has an overview, with a row per system and a column per benchmark and condition. Each of these in several
languages has a table, with a row per language and a column per system. Means are over the languages that all systems
in a table have. CSV has a row per number, in full precision and in the figure's own unit. LaTeX needs booktabs.

Results stand in one table only if they agree in benchmark with its marks, protocol with its changes, metric, and
numbers of images and questions. Otherwise they have tables of their own, and a note names what differs.
"""

import argparse
import csv
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

from mblip.data.languages import ENGLISH

from ..language_groups import ALL, ALL_BUT_ENGLISH, groups_of
from ..languages import evaluation_language
from ..metrics.intervals import Interval
from ..results import Results
from ..task import AS_IS, SHUFFLED
from .files import read_results
from .tables import MISSING, UNSEEN_MARK

Systems = Mapping[str, Sequence[Mapping[str, Results]]]  # name -> for each training seed: benchmark -> results
MEAN_OF = "mean of "
MOST_COLUMNS = 8  # of an overview
NOTE = (
    "Questions: of each language. Main figures, and other harnesses', times 100. ±: sample standard deviation over "
    "training seeds. In brackets: 95 % interval over images (one seed). Bold: best mean. "
    f"{UNSEEN_MARK.strip()}: not in the training mix."
)
MARKDOWN = str.maketrans({"|": r"\|"})
LATEX = str.maketrans(
    {letter: f"\\{letter}" for letter in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "`": r"\textasciigrave{}"}
    | {"<": "$<$", ">": "$>$", "|": "$|$", "±": r"$\pm$", "†": r"\dag{}", "–": "--"}
)


class Terms(NamedTuple):
    """What results must share to stand in one table.

    `benchmark`, `protocol` and `figure` are titles. `is_main`: the figure is the main one, or another harness's.
    `greater_is_better` is None for other figures and for controls. `images` and `questions` are those of the language
    that has most. `metric` describes the main figure, with the metric's arguments.
    """

    task: str
    condition: str
    benchmark: str
    protocol: str
    figure: str
    is_main: bool
    greater_is_better: bool | None
    images: int
    questions: int
    metric: str


class Cell(NamedTuple):
    """A system's figure in a language, or its mean over languages ("mean of 12 (all)"): a value per seed.

    `interval` is that of the main figure of a system with one seed. `is_total` cells stand in the overview.
    """

    terms: Terms
    row: str
    system: str
    values: tuple[float, ...]
    interval: Interval | None
    is_best: bool
    is_total: bool


class Table(NamedTuple):
    """Lines of cells in Markdown. The first `num_headings` lines are headings."""

    title: str
    num_headings: int
    lines: Sequence[Sequence[str]]


def compare_systems(systems: Systems, figure: str | None = None) -> list[Cell]:
    """Compare systems on each benchmark and condition.

    Args:
        figure: the name of a figure; None: the main one of each benchmark.

    Raises:
        ValueError: no benchmark has the figure, or the seeds of a system were not evaluated alike.
    """
    found: dict[Terms, dict[str, list[Results]]] = {}
    for system, seeds in systems.items():
        for results in (results for seed in seeds for results in seed.values()):
            for condition in results.conditions:
                if any((figure or results.metric) in s.figures for s in results.by_language(condition).values()):
                    by_system = found.setdefault(_terms(results, condition, figure), {})
                    by_system.setdefault(system, []).append(results)
    for terms, by_system in found.items():
        for name, alike in by_system.items():
            languages = {frozenset(results.by_language(terms.condition)) for results in alike}
            if len(alike) != len(systems[name]) or len(languages) > 1:
                raise ValueError(
                    f"Found {terms.benchmark} (protocol {terms.protocol}) in {len(alike)} of {len(systems[name])} "
                    f"seeds of {name}, expected it in each, in the same languages. Evaluate all seeds with one recipe."
                )
    if not found:
        raise ValueError(f"Found no figure {figure!r}. `report.md` of an evaluation has the names of all figures.")
    return [cell for terms, by_system in found.items() for cell in _cells(terms, by_system, figure)]


def _terms(results: Results, condition: str, figure: str | None) -> Terms:
    scores = results.by_language(condition).values()
    is_main = figure in (None, results.metric, *results.others)
    return Terms(
        task=results.task,
        condition=condition,
        benchmark=f"{results.title}{'' if condition == AS_IS else f', {condition}'}",
        protocol=f"{results.protocol_title}{', stand-ins for photos' if results.has_stand_ins else ''}",
        figure=results.metric_title if figure in (None, results.metric) else str(figure),
        is_main=is_main,
        greater_is_better=results.greater_is_better if is_main and condition != SHUFFLED else None,
        images=max(score.num_images for score in scores),
        questions=max(score.num_prompts for score in scores),
        metric=f"{results.description} {results.metric_record}",
    )


def _cells(terms: Terms, by_system: Mapping[str, Sequence[Results]], figure: str | None) -> Iterator[Cell]:
    # 1. Language -> a value per seed. A figure may be undefined in a language, such as precision without any "yes"
    values: dict[str, dict[str, tuple[float, ...]]] = {}
    intervals: dict[tuple[str, str], Interval] = {}
    for system, seeds in by_system.items():
        first, *others = (results.by_language(terms.condition) for results in seeds)
        name = figure or seeds[0].metric
        values[system] = {
            code: tuple(scores[code].figures[name] for scores in (first, *others))
            for code in first
            if all(name in scores[code].figures for scores in (first, *others))
        }
        if name == seeds[0].metric and not others:
            intervals |= {(system, code): score.interval for code, score in first.items()}
            means = (mean for mean in seeds[0].means if mean.condition == terms.condition)
            intervals |= {(system, _mean_of(mean.num_languages, mean.languages)): mean.interval for mean in means}
    # 2. The rows, and their languages
    rows = {code: [code] for found in values.values() for code in found}
    groups = groups_of([code for code in rows if all(code in found for found in values.values())])
    is_total = {_mean_of(len(groups[ALL]), ALL)} if len(rows) > 1 else set(rows)
    for which in (ALL, ALL_BUT_ENGLISH) if ENGLISH in groups[ALL] else (ALL,):
        rows |= {_mean_of(len(groups[which]), which): groups[which]} if len(groups[which]) > 1 else {}
    # 3. The cells of each row. Best are all that look like the best, unless all look alike
    for row, codes in rows.items():
        cells = {
            system: tuple(map(fmean, zip(*(found[code] for code in codes), strict=True)))
            for system, found in values.items()
            if found.keys() >= set(codes)
        }
        shown = {system: float(_shown(terms, fmean(of_seeds))) for system, of_seeds in cells.items()}
        best = (max if terms.greater_is_better else min)(shown.values())
        has_best = terms.greater_is_better is not None and len(set(shown.values())) > 1
        for system, of_seeds in cells.items():
            is_best = has_best and shown[system] == best
            yield Cell(terms, row, system, of_seeds, intervals.get((system, row)), is_best, row in is_total)


def _mean_of(num_languages: int, which: str) -> str:
    return f"{MEAN_OF}{num_languages} ({which})"


def _shown(terms: Terms, value: float) -> str:
    return f"{100 * value:.1f}" if terms.is_main else f"{value:.4f}"


def _text(cell: Cell) -> str:
    """A cell in Markdown."""
    number = _shown(cell.terms, fmean(cell.values))
    text = f"**{number}**" if cell.is_best else number
    if len(cell.values) > 1:
        text += f" ± {_shown(cell.terms, stdev(cell.values))}"
    if cell.interval:
        text += f" [{_shown(cell.terms, cell.interval.low)}, {_shown(cell.terms, cell.interval.high)}]"
    return text


def differences(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield why results of one benchmark and condition stand in several tables."""
    groups: dict[str, list[Terms]] = {}
    for terms in dict.fromkeys(cell.terms for cell in cells):
        groups.setdefault(f"{terms.task}, {terms.condition}", []).append(terms)
    for name, group in groups.items():
        if fields := [field for field, *given in zip(Terms._fields, *group, strict=True) if len(set(given)) > 1]:
            yield f"{name}: {len(group)} tables that are not comparable. They differ in {', '.join(fields)}."


def tables(cells: Sequence[Cell]) -> Iterator[Table]:
    """The overviews, then the tables by language."""
    totals = {(_system(cell), cell.terms): cell for cell in cells if cell.is_total}
    for protocol in dict.fromkeys(terms.protocol for _, terms in totals):
        columns = list(dict.fromkeys(terms for _, terms in totals if terms.protocol == protocol))
        for start in range(0, len(columns), MOST_COLUMNS):
            yield _overview(f"Protocol {protocol}", totals, columns[start : start + MOST_COLUMNS])
    for terms in dict.fromkeys(cell.terms for cell in cells if not cell.is_total):
        counts = f"{terms.images:,} images, {terms.questions:,} questions per language"
        title = f"{terms.benchmark}, {terms.figure}, protocol {terms.protocol}, {counts}"
        by_language = {(_row_name(cell.row), _system(cell)): cell for cell in cells if cell.terms == terms}
        systems = list(dict.fromkeys(system for _, system in by_language))
        yield Table(title, 1, [("language", *systems), *_lines(by_language, systems)])


def _overview(title: str, cells: Mapping[tuple[str, Terms], Cell], columns: Sequence[Terms]) -> Table:
    rows = {terms: cell.row.removeprefix(MEAN_OF) for (_, terms), cell in cells.items()}
    headings = [
        ("", *(terms.benchmark for terms in columns)),
        ("figure", *(terms.figure for terms in columns)),
        ("languages", *(rows[terms] for terms in columns)),
        ("images", *(f"{terms.images:,}" for terms in columns)),
        ("questions", *(f"{terms.questions:,}" for terms in columns)),
    ]
    found = {key: cell for key, cell in cells.items() if cell.terms in columns}
    return Table(title, len(headings), [*headings, *_lines(found, columns)])


def _lines(cells: Mapping[tuple[str, Any], Cell], columns: Sequence[Any]) -> list[list[str]]:
    """The lines of a table, from cells by row and column."""
    texts = {key: _text(cell) for key, cell in cells.items()}
    rows = dict.fromkeys(row for row, _ in cells)
    return [[row, *(texts.get((row, column), MISSING) for column in columns)] for row in rows]


def _system(cell: Cell) -> str:
    return f"{cell.system} ({len(cell.values)} seeds)" if len(cell.values) > 1 else cell.system


def _row_name(row: str) -> str:
    if row.startswith(MEAN_OF):
        return row
    language = evaluation_language(row)
    return language.name if language.is_seen else f"{language.name}{UNSEEN_MARK}"


def markdown(table: Table) -> str:
    """The table as Markdown, below its title."""
    lines = [f"| {' | '.join(cell.translate(MARKDOWN) for cell in line)} |" for line in table.lines]
    lines.insert(1, f"| --- |{' ---: |' * (len(table.lines[0]) - 1)}")
    return "\n".join([f"### {table.title}", "", *lines, ""])


def latex(table: Table) -> str:
    """The table as a float, with its title as caption."""
    cells = [[cell.translate(LATEX) for cell in line] for line in table.lines]
    for line in cells[: table.num_headings]:  # a word below the other
        line[1:] = (
            r"\shortstack[r]{" + cell.replace(" ", r"\\") + "}" if len(cell) > 8 else cell for cell in line[1:]
        )
    lines = [re.sub(r"\*\*(.+?)\*\*", r"\\textbf{\1}", " & ".join(line)) + r" \\" for line in cells]
    lines = [re.sub(r"(^|\\\\)([*\[])", r"\1{}\2", line) for line in lines]  # `\\[` and `\\*` are commands
    num_means = sum(line[0].startswith(MEAN_OF) for line in table.lines)
    for position in {table.num_headings, len(lines) - num_means} - {len(lines)}:
        lines[position] = "\\midrule\n" + lines[position]
    caption = table.title.translate(LATEX)
    label = re.sub("[^a-z0-9]+", "-", table.title.lower()).strip("-")
    columns = "l" + "r" * (len(table.lines[0]) - 1)
    start = [r"\begin{table}", r"\centering\small", rf"\caption{{{caption}}}\label{{tab:{label}}}"]
    tabular = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *lines, r"\bottomrule", r"\end{tabular}"]
    return "\n".join([*start, *tabular, r"\end{table}", ""])


def write_csv(cells: Sequence[Cell]) -> None:
    """Print a row per cell, with the terms of its table but the metric's long description."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    figures = ("mean", "standard_deviation", "num_seeds", "interval_low", "interval_high")
    writer.writerow((*Terms._fields[:-1], "language", "system", *figures))
    for cell in cells:
        spread = stdev(cell.values) if len(cell.values) > 1 else None
        ends = (cell.interval.low, cell.interval.high) if cell.interval else (None, None)
        writer.writerow((*cell.terms[:-1], cell.row, cell.system, fmean(cell.values), spread, len(cell.values), *ends))


def read_systems(folders: Sequence[str], named: Sequence[str] = ()) -> Systems:
    """The systems of a command line: folders, named after their models, and "NAME=FOLDER,FOLDER".

    Raises:
        ValueError: there is none, a folder has no results, or a name or folder is given twice.
    """
    systems: dict[str, list[dict[str, Results]]] = {}
    for name, _, listed in [("", "", folder) for folder in folders] + [text.partition("=") for text in named]:
        seeds = [read_results(folder, with_predictions=False) for folder in listed.split(",")]
        first = next(iter(seeds[0].values()))
        name = name or first.system or first.model.name
        if name in systems or len(set(listed.split(","))) < len(seeds):
            raise ValueError(
                f"Found {name} twice. Name each system (--system A=outputs/a --system B=outputs/b), and give "
                "the seeds of one together, each folder once (--system A=outputs/a_1,outputs/a_2)."
            )
        systems[name] = seeds
    if not systems:
        raise ValueError("Found no folder, expected one or more outputs of `mblip eval` or `mblip score`.")
    return systems


def main(arguments: list[str]) -> None:
    """The command: read the folders and print their tables."""
    parser = argparse.ArgumentParser(
        prog="mblip tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "folders", nargs="*", metavar="FOLDER", help="output of `mblip eval` or `mblip score`: a system"
    )
    parser.add_argument("--system", action="append", default=[], metavar="NAME=FOLDER,...", help="a system's seeds")
    parser.add_argument("--figure", help="a figure, such as chrF; default: the main one of each benchmark")
    parser.add_argument("--format", choices=("markdown", "latex", "csv"), default="markdown", help="default: markdown")
    given = parser.parse_args(arguments)
    cells = compare_systems(read_systems(given.folders, given.system), given.figure)
    if given.format == "csv":
        write_csv(cells)
        return
    for note in (*differences(cells), NOTE):
        print(f"{'% ' if given.format == 'latex' else ''}{note}\n")
    print("\n".join(map(latex if given.format == "latex" else markdown, tables(cells))), end="")
