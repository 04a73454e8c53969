"""The files of an evaluation: results.json with every figure, which is read back, and table.md."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mblip.atomic_write import read_json, write_text

from ..language_groups import LEVELS
from ..languages import evaluation_language
from ..predictions import read_predictions
from ..results import Results, mean_ratio, ratio_to_reference
from ..task import AS_IS, SHUFFLED
from .other_harnesses import harness_warnings
from .tables import Cell, group_table, markdown_table

RESULTS_FILE = "results.json"
TABLE_FILE = "table.md"


def predictions_path(folder: str | Path, name: str) -> Path:
    """The predictions file of an evaluation named `name`."""
    return Path(folder, f"predictions_{name}.jsonl")


def write_results(folder: str | Path, results: Mapping[str, Results], table: str) -> None:
    """Write results.json, with each evaluation under its name, and table.md; each is written atomically."""
    write_files(folder, {name: result.to_json() for name, result in results.items()}, table)


def write_files(folder: str | Path, plain: Mapping[str, Any], table: str) -> None:
    """Write results.json from plain values, and table.md."""
    write_text(Path(folder, RESULTS_FILE), json.dumps(plain, ensure_ascii=False, indent=1) + "\n")
    write_text(Path(folder, TABLE_FILE), table)


def read_results(path: str | Path, *, with_predictions: bool = True) -> dict[str, Results]:
    """The results in results.json by name, with the predictions of the files beside it, if they are there.

    Args:
        path: the file, or its folder.
        with_predictions: False does without the answers, which may be many.

    Raises:
        ValueError: it is another file, damaged, or written by another version of the package.
    """
    file = Path(path, RESULTS_FILE) if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise ValueError(f"Found no {file}, expected the {RESULTS_FILE} that an evaluation writes into its folder.")
    results: dict[str, Results] = {}
    for name, plain in read_json(file, "Evaluate again.").items():
        answers = predictions_path(file.parent, name)
        predictions = read_predictions(answers) if with_predictions and answers.is_file() else ()
        try:
            results[name] = Results.from_json(plain, f"{file}, `{name}`", predictions)
        except ValueError as error:
            raise ValueError(
                f"{error}\nExpected the results of this version of mblip. Evaluate again, or score the answers again."
            ) from error
    return results


def conditions_table(results: Results) -> str:
    """The results of one model on one task: a column per condition, then the means of groups of languages."""
    columns = {condition: results.by_language(condition) for condition in results.conditions}
    means = {condition: results.mean(condition) for condition in columns}
    table = markdown_table(columns, means=means)
    parts = [f"## {results.title}: {results.description}", _facts(results), table, *harness_warnings(results)]
    scripts = {evaluation_language(score.language).script for score in results.scores}
    for heading, names in (("By resource level (share of mC4)", LEVELS), ("By script", scripts)):
        groups = {condition: results.group_means(condition, names) for condition in columns}
        if len(next(iter(groups.values()))) > 1:
            parts.append(group_table(heading, groups))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def alignment_table(after: Results, *, before: Results | None = None, english_blip2: Results | None = None) -> str:
    """The effect of re-alignment: scores before and after it, with shuffled images, and those of the English BLIP-2.

    The last column is each language's score divided by the English score of the English BLIP-2, on the same images.

    Raises:
        ValueError: the evaluations are about different images, or lack the condition `as_is`.
    """
    columns: dict[str, Mapping[str, Cell]] = {}
    means: dict[str, Cell | None] = {}
    if before is not None:
        columns["before"], means["before"] = before.by_language(AS_IS), before.mean(AS_IS)
    names = {AS_IS: "after", SHUFFLED: "after, images shuffled"}
    for name in after.conditions:
        heading = names.get(name, f"after, {name}")
        columns[heading], means[heading] = after.by_language(name), after.mean(name)
    if english_blip2 is not None:
        columns["English BLIP-2"] = english_blip2.by_language(AS_IS)
        reference = english_blip2.answers(AS_IS, "en")
        answers = {code: after.answers(AS_IS, code) for code in after.by_language(AS_IS)}
        ratios = {code: ratio_to_reference(ours, reference) for code, ours in answers.items()}
        columns["after / English BLIP-2"] = {code: ratio for code, ratio in ratios.items() if ratio is not None}
        means["after / English BLIP-2"] = mean_ratio(answers, reference)
    return f"{_facts(after)}\n\n{markdown_table(columns, list(after.by_language(AS_IS)), means)}"


def _facts(results: Results) -> str:
    """A summary of the evaluation in one or two sentences."""
    warning = " Images are drawn stand-ins for photos: the scores mean nothing." if results.has_stand_ins else ""
    if results.system is not None:
        counts = f"{results.num_images:,} images, {len(results.predictions):,} answers"
        return f"Protocol `{results.protocol_title}`: {counts} of {results.system}, scored.{warning}"
    how = {"generate": str(results.generation), "constrained": f"constrained to candidates, {results.generation}"}
    return (
        f"Protocol `{results.protocol_title}`: {results.num_images:,} images, {len(results.predictions):,} answers in "
        f"{results.seconds:.0f} s ({results.hardware}; {results.model.precision}); "
        f"{how.get(results.answering, results.answering)}.{warning}"
    )
