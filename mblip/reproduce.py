"""Repeat published measurements of a checkpoint, and say whether ours agree.

    mblip reproduce                                          Gregor/mblip-mt0-xl, beside what Pangea measured
    mblip reproduce Gregor/mblip-bloomz-7b
    mblip reproduce FOLDER --figures_of Gregor/mblip-mt0-xl  a folder, beside the figures of that model
    mblip reproduce --quick                                  20 images of each benchmark and language: a trial

The recipe (`mblip recipes reproduce_pangea`) names data with their commits, protocols and published figures. It needs
one GPU and a network. If killed, run the same command again to resume.

A figure agrees if the published one lies in our 95 % interval, widened by 0.05 points, to which it is rounded, and by
the recipe's `tolerance`. Both are of the same records, so this is generous: the interval allows for other images,
while only hardware and versions differ. The exit status is 0 if all figures agree, 1 if one does not, 2 for an error,
and 3 for a trial, which is not judged.
"""

import argparse
import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from mblip.atomic_write import write_text
from mblip.data.recipes.ranges import NotNegative
from mblip.data.recipes.strict_loading import convert
from mblip.data.recipes.yaml_values import read_yaml
from mblip.eval import evaluate, write
from mblip.evaluation import MeanScore, Results, Score
from mblip.evaluation.processes import alone_in, is_main_process, process_group
from mblip.evaluation.protocol import ProtocolName
from mblip.evaluation.recipe import CONVERTERS, DtypeName, EvaluationRecipe, EvaluationRun
from mblip.evaluation.reports.tables import cell
from mblip.evaluation.task import AS_IS
from mblip.evaluation.trial import Trial
from mblip.recipes import find_recipe

ROUNDING = 0.05
DISAGREES, TRIAL = 1, 3  # exit status


@dataclass(frozen=True)
class Published:
    """A figure of a model on a benchmark, in points: in a language, or the mean over `all` or `all but English`."""

    model: str
    task: str
    languages: str
    points: float


@dataclass(frozen=True)
class Reproduction:
    """A recipe: `published` figures and their `source`. They are of the first of the `protocols`; we evaluate with the
    others, too. `tolerance`: by how many points a published figure may lie outside our interval."""

    source: str
    protocols: tuple[ProtocolName, ...]
    evaluation: EvaluationRecipe
    published: tuple[Published, ...]
    tolerance: NotNegative = 0.0

    def __post_init__(self) -> None:
        names = {task.name for task in self.evaluation.tasks}
        if unknown := [each.task for each in self.published if each.task not in names]:
            raise ValueError(f"`published` has a figure of {unknown[0]}, expected one of {', '.join(sorted(names))}.")


def main(arguments: Sequence[str]) -> None:
    """The command.

    Raises:
        SystemExit: with the exit status 1 if a figure does not agree, and 3 for a trial.
    """
    given = _parser().parse_args(arguments)
    recipe: Reproduction = convert(read_yaml(find_recipe(given.recipe)), Reproduction, "", CONVERTERS)
    name = given.figures_of or given.model
    published = [each for each in recipe.published if each.model == name]
    if not published:
        known = ", ".join(dict.fromkeys(each.model for each in recipe.published))
        raise ValueError(f"Found no published figures of {name}, expected --figures_of with one of {known}.")
    name = given.model.strip("/").replace("/", "--") + ("_trial" if given.quick else "")
    folder = given.output_dir or Path("outputs", "reproduce", name)
    results: dict[str, Results] = {}
    with alone_in(folder), process_group() as device:
        evaluation = replace(recipe.evaluation, trial=Trial(num_images=20 if given.quick else None))
        for protocol in recipe.protocols:
            asked = replace(evaluation, setup=replace(evaluation.setup, protocol=protocol))
            run = EvaluationRun(given.model, folder, asked, given.dtype)
            results |= evaluate(run, device, suffix=f"_{protocol}")
            gc.collect()  # of this model, before the next one is loaded
        if not is_main_process():
            return
        write(folder, results)
        text, status = report(results, published, recipe, is_trial=given.quick)
        write_text(folder / "reproduce.md", text)
    print(text)
    if status:
        raise SystemExit(status)


def report(
    results: Mapping[str, Results], published: Sequence[Published], recipe: Reproduction, *, is_trial: bool
) -> tuple[str, int]:
    """The content of reproduce.md, and the exit status."""
    rows = [("benchmark", "protocol", "languages", "ours [95 %]", "published", "agrees", "min", "GB"), ("---",) * 8]
    slack, num_wrong = ROUNDING + recipe.tolerance, 0
    for protocol in recipe.protocols:
        for figure in published:
            ours = results[f"{figure.task}_{protocol}"]
            found = _found(ours, figure.languages)
            low, high = 100 * found.interval.low, 100 * found.interval.high
            theirs, agrees = "-", "-"
            if protocol == recipe.protocols[0]:
                theirs, is_wrong = f"{figure.points:.1f}", not low - slack <= figure.points <= high + slack
                agrees, num_wrong = "no" if is_wrong else "yes", num_wrong + is_wrong
            cells = cell(found), theirs, "-" if is_trial else agrees
            cost = f"{ours.seconds / 60:.1f}", f"{ours.peak_memory_gb or 0:.1f}"
            rows.append((f"{ours.title}, {ours.metric_title}", ours.protocol_title, figure.languages, *cells, *cost))
    first = next(iter(results.values()))
    verdict = f"{num_wrong} of {len(published)} figures do not agree." if num_wrong else "All figures agree."
    files = [file for ours in results.values() for file in ours.files]
    parts = [
        f"# {first.model.name} beside {recipe.source}",
        "A trial: it shows neither agreement nor disagreement." if is_trial else verdict,
        "\n".join(f"| {' | '.join(row)} |" for row in rows),
        f"A figure agrees if the published one is within {slack:g} points of our interval. Commit of the model: "
        f"{first.model.revision}; weights {first.weights}; {first.model.precision}; {first.hardware}.",
        "\n".join(
            dict.fromkeys(f"- {file.location}, commit {file.revision}: {file.num_records:,} records" for file in files)
        ),
    ]
    return "\n\n".join(parts) + "\n", TRIAL if is_trial else DISAGREES if num_wrong else 0


def _found(results: Results, languages: str) -> Score | MeanScore:
    """The main figure in a language, or its mean over several."""
    means = {mean.languages: mean for mean in results.means if mean.condition == AS_IS}
    found: dict[str, Score | MeanScore] = {**means, **results.by_language(AS_IS)}
    if languages not in found:
        raise ValueError(f"{results.task}: found no figure for {languages!r}, expected one of {', '.join(found)}.")
    return found[languages]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mblip reproduce", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="Gregor/mblip-mt0-xl", help="a name on the Hub or a folder")
    parser.add_argument("--figures_of", help="compare with the published figures of this model")
    parser.add_argument("--recipe", default="reproduce_pangea", help="another recipe, with your data and figures")
    parser.add_argument("--output_dir", type=Path, help="folder for answers, results.json, report.md and reproduce.md")
    parser.add_argument("--quick", action="store_true", help="a trial of a few images, which is not judged")
    parser.add_argument("--dtype", choices=get_args(DtypeName), default="auto", help="dtype of ViT and language model")
    return parser
