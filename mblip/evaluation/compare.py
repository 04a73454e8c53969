"""Compare two systems by their predictions: is the difference larger than chance?

    mblip compare A/predictions_xm3600.jsonl B/predictions_xm3600.jsonl
    mblip compare A.jsonl B.jsonl --metric language_fidelity

Prints a Markdown table for each condition. Each row has the means of A and B in one language, their difference with
its 95 % interval, p-values, and how often A or B has the higher score. The last row is the mean over languages.
metrics/paired_comparison.py explains the statistics.

Answers are paired by condition, language and id. Benchmark, protocol, image and references must agree, and every
answer must have a partner.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mblip.data.recipes.ranges import count

from .languages import evaluation_language
from .metrics.bootstrap import NUM_RESAMPLES
from .metrics.language_fidelity import find_language
from .metrics.paired_comparison import PairedComparison, PairedScores, compare_columns, holm
from .predictions import Prediction, read_predictions
from .reports.tables import UNSEEN_MARK

Key = tuple[str, str, str]
HEADINGS = ("Language", "Answers", "A", "B", "A − B", "p", "p (Holm)", "A higher", "B higher")


@dataclass(frozen=True)
class ConditionComparison:
    """Systems A and B under one condition.

    Args:
        languages: language -> the comparison of A and B.
        mean: the comparison of the means over languages, with equal weight for each language.
        corrected: language -> p-value with Holm's correction over the languages.
        num_images: the number of image sets that intervals and p-values resample.
        num_other_prompts: how many pairs had different prompts.
    """

    condition: str
    languages: Mapping[str, PairedComparison]
    mean: PairedComparison
    corrected: Mapping[str, float]
    num_images: int
    num_other_prompts: int


def task_score(prediction: Prediction) -> float:
    """The main figure of the task's metric.

    Raises:
        ValueError: the prediction has no score.
    """
    if prediction.score is None:
        raise ValueError(
            f"The answer to {_key_name(_key(prediction))} has no score, expected a number. Let `mblip eval` finish."
        )
    return float(prediction.score)


def is_in_language(prediction: Prediction) -> float:
    """1 if the answer is in the requested language, else 0 (metrics/language_fidelity.py)."""
    return float(find_language(prediction.output, asked=prediction.language) == prediction.language)


METRICS: Mapping[str, Callable[[Prediction], float]] = {"score": task_score, "language_fidelity": is_in_language}


def compare_predictions(
    predictions_a: Sequence[Prediction],
    predictions_b: Sequence[Prediction],
    *,
    metric: str = "score",
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> tuple[ConditionComparison, ...]:
    """Compare two systems under each condition, in order of first appearance.

    Args:
        metric: a key of `METRICS`.

    Raises:
        ValueError: the predictions are about different examples, or have no scores.
    """
    score_of = METRICS[metric]
    by_condition: dict[str, list[tuple[Prediction, Prediction]]] = {}
    for pair in pair_predictions(predictions_a, predictions_b):
        by_condition.setdefault(pair[0].condition, []).append(pair)
    return tuple(
        _compare(condition, pairs, score_of, num_resamples, seed) for condition, pairs in by_condition.items()
    )


def pair_predictions(
    predictions_a: Sequence[Prediction], predictions_b: Sequence[Prediction]
) -> list[tuple[Prediction, Prediction]]:
    """Pair the answers of A and B to each example, in the order of A.

    Raises:
        ValueError: tasks or protocols differ, a system answers an example twice, only one of them answers an example,
            or the images or references of an example differ.
    """
    _check_tasks(predictions_a, predictions_b)
    ours, theirs = _by_key(predictions_a, "A"), _by_key(predictions_b, "B")
    only = {
        name: [key for key in these if key not in those]
        for name, these, those in (("A", ours, theirs), ("B", theirs, ours))
    }
    if only["A"] or only["B"]:
        found = ", ".join(f"{len(keys)} only in {name}{_such_as(keys)}" for name, keys in only.items())
        raise ValueError(
            f"Found {len(ours.keys() & theirs.keys())} examples in both files, {found}; expected the same in both. "
            "Evaluate both with one recipe."
        )
    pairs = [(prediction, theirs[key]) for key, prediction in ours.items()]
    for a, b in pairs:
        if (a.image_id, a.references) != (b.image_id, b.references):
            what = "images" if a.image_id != b.image_id else "references"
            raise ValueError(
                f"Found different {what} of the example {_key_name(_key(a))} in A and B, expected the same. "
                "Evaluate both on the same files."
            )
    return pairs


def _compare(
    condition: str,
    pairs: Sequence[tuple[Prediction, Prediction]],
    score_of: Callable[[Prediction], float],
    num_resamples: int,
    seed: int,
) -> ConditionComparison:
    by_language: dict[str, list[tuple[Prediction, Prediction]]] = {}
    for pair in pairs:
        by_language.setdefault(pair[0].language, []).append(pair)
    columns = {
        language: PairedScores(
            [score_of(a) for a, _ in members], [score_of(b) for _, b in members], [a.image_id for a, _ in members]
        )
        for language, members in by_language.items()
    }
    languages, mean = compare_columns(columns, num_resamples=num_resamples, seed=seed)
    corrected = holm([compared.p_value for compared in languages.values()])
    return ConditionComparison(
        condition=condition,
        languages=languages,
        mean=mean,
        corrected=dict(zip(languages, corrected, strict=True)),
        num_images=len({a.image_id for a, _ in pairs}),
        num_other_prompts=sum(a.prompt != b.prompt for a, b in pairs),
    )


def _check_tasks(predictions_a: Sequence[Prediction], predictions_b: Sequence[Prediction]) -> None:
    ours, theirs = (
        sorted({f"{one.task} (protocol {one.protocol})" for one in predictions})
        for predictions in (predictions_a, predictions_b)
    )
    if not ours or ours != theirs:
        raise ValueError(
            f"Found answers of {' and '.join(ours) or 'no task'} in A, of {' and '.join(theirs) or 'no task'} in B; "
            "expected the same task and protocol. You cannot compare figures of different protocols."
        )


def _by_key(predictions: Sequence[Prediction], name: str) -> dict[Key, Prediction]:
    by_key: dict[Key, Prediction] = {}
    for prediction in predictions:
        if by_key.setdefault(_key(prediction), prediction) is not prediction:
            raise ValueError(
                f"{name} answers {_key_name(_key(prediction))} more than once, expected one answer per example."
            )
    return by_key


def _key(prediction: Prediction) -> Key:
    return prediction.condition, prediction.language, prediction.id


def _key_name(key: Key) -> str:
    condition, language, id = key
    return f"{id!r} in {language!r} under {condition!r}"


def _such_as(keys: Sequence[Key]) -> str:
    return f" (such as {_key_name(keys[0])})" if keys else ""


def comparison_table(comparison: ConditionComparison) -> str:
    """A Markdown table of one condition: a row per language, and their mean if there are several."""
    rows = [
        _row(_language(code), compared, comparison.corrected[code]) for code, compared in comparison.languages.items()
    ]
    if len(rows) > 1:
        rows.append(_row(f"mean of {len(rows)}", comparison.mean, None))
    rule = _line("---", *["---:"] * (len(HEADINGS) - 1))
    return "\n".join([f"### {comparison.condition}", "", _line(*HEADINGS), rule, *rows])


def comparison_report(
    comparisons: Sequence[ConditionComparison], *, name_a: str, name_b: str, metric: str, num_resamples: int, seed: int
) -> str:
    """A report of all conditions, with notes on the statistics."""
    tables = [comparison_table(comparison) for comparison in comparisons]
    num_images = max(comparison.num_images for comparison in comparisons)
    notes = [
        f"Mean {metric} times 100. A: {name_a}; B: {name_b}.",
        f"In brackets: 95 % intervals of the difference, by a bootstrap over {num_images} image sets, the same ones "
        f"in all languages. p: paired permutation test over them. {num_resamples} resamples, seed {seed}.",
        "p (Holm): corrected for the number of languages. The mean over languages, with equal weights, is one test. "
        "A higher, B higher: answers with the higher score; the others are equal. For CHAIR, lower is better.",
    ]
    if any(not evaluation_language(code).is_seen for comparison in comparisons for code in comparison.languages):
        notes.append(f"{UNSEEN_MARK.strip()} not among the 96 languages of the training mix.")
    if num_other := sum(comparison.num_other_prompts for comparison in comparisons):
        notes.append(f"{num_other} examples had different prompts in A and B.")
    return "\n\n".join([f"## {name_a} against {name_b}", *tables, *notes]) + "\n"


def _row(name: str, compared: PairedComparison, corrected: float | None) -> str:
    low, high = compared.difference.interval.low, compared.difference.interval.high
    return _line(
        name,
        str(compared.num_examples),
        _figure(compared.mean_a),
        _figure(compared.mean_b),
        f"{100 * compared.difference.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]",
        f"{compared.p_value:.4f}",
        "" if corrected is None else f"{corrected:.4f}",
        str(compared.num_wins),
        str(compared.num_losses),
    )


def _language(code: str) -> str:
    language = evaluation_language(code)
    return f"{language.name} (`{code}`){'' if language.is_seen else UNSEEN_MARK}"


def _figure(value: float) -> str:
    return f"{100 * value:.1f}"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> None:
    """The command: read both files, compare them and print the report."""
    parser = argparse.ArgumentParser(
        prog="mblip compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("a", type=Path, help="predictions file of system A")
    parser.add_argument("b", type=Path, help="predictions file of system B, on the same examples")
    parser.add_argument("--metric", choices=METRICS, default="score", help="default: the task's main figure")
    parser.add_argument("--num_resamples", type=count, default=NUM_RESAMPLES, help=f"default {NUM_RESAMPLES}")
    parser.add_argument("--seed", type=int, default=0, help="seed of the resamples, default 0")
    given = parser.parse_args(arguments)
    reckoning = {"metric": given.metric, "num_resamples": given.num_resamples, "seed": given.seed}
    comparisons = compare_predictions(read_predictions(given.a), read_predictions(given.b), **reckoning)
    print(comparison_report(comparisons, name_a=str(given.a), name_b=str(given.b), **reckoning), end="")
