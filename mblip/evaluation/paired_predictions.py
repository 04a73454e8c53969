"""Two files of predictions, answer beside answer: what both answered to the same example of the same benchmark.

Answers are paired by condition, language and id. That they are about the same is checked, not hoped: benchmark,
protocol, image and references are equal, and no answer stands alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .metrics.bootstrap import NUM_RESAMPLES
from .metrics.language_fidelity import find_language
from .metrics.paired_comparison import PairedComparison, PairedScores, compare_columns, holm
from .predictions import Prediction

Key = tuple[str, str, str]


@dataclass(frozen=True)
class ConditionComparison:
    """Systems A and B under one condition.

    `languages`: language -> A against B; `mean`: of the languages, each counted alike. `corrected`: language -> its
    p-value by Holm's correction over the languages. `num_images` are what intervals and p-values go by;
    `num_other_prompts` pairs were asked in different words.
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
        ValueError: the prediction has none.
    """
    if prediction.score is None:
        raise ValueError(
            f"The answer to {_name(_key(prediction))} has no score, expected a number. Let eval.py finish the file."
        )
    return float(prediction.score)


def is_in_language(prediction: Prediction) -> float:
    """1 where the answer is in the language asked for, else 0 (metrics/language_fidelity.py)."""
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
        metric: of `METRICS`.

    Raises:
        ValueError: the predictions are not about the same examples, or lack what the metric needs.
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
    """What both answered to each example, in the order of A.

    Raises:
        ValueError: the two are of different tasks or protocols, one answers an example twice or that the other does
            not, or the image or the references of an example differ.
    """
    _check_tasks(predictions_a, predictions_b)
    ours, theirs = _by_key(predictions_a, "A"), _by_key(predictions_b, "B")
    only = {
        name: [key for key in these if key not in those]
        for name, these, those in (("A", ours, theirs), ("B", theirs, ours))
    }
    if only["A"] or only["B"]:
        found = ", ".join(f"{len(keys)} only in {name}{_example(keys)}" for name, keys in only.items())
        raise ValueError(
            f"Found {len(ours.keys() & theirs.keys())} examples in both files, {found}; expected the same in both. "
            "Evaluate both with one recipe."
        )
    pairs = [(prediction, theirs[key]) for key, prediction in ours.items()]
    for a, b in pairs:
        if (a.image_id, a.references) != (b.image_id, b.references):
            what = "images" if a.image_id != b.image_id else "references"
            raise ValueError(
                f"Found different {what} of the example {_name(_key(a))} in A and B, expected the same. "
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
            "expected one task under one protocol. Numbers of different protocols do not compare."
        )


def _by_key(predictions: Sequence[Prediction], name: str) -> dict[Key, Prediction]:
    by_key: dict[Key, Prediction] = {}
    for prediction in predictions:
        if by_key.setdefault(_key(prediction), prediction) is not prediction:
            raise ValueError(f"{name} answers {_name(_key(prediction))} more than once, expected one answer to each.")
    return by_key


def _key(prediction: Prediction) -> Key:
    return prediction.condition, prediction.language, prediction.id


def _name(key: Key) -> str:
    condition, language, id = key
    return f"{id!r} in {language!r} under {condition!r}"


def _example(keys: Sequence[Key]) -> str:
    return f" (such as {_name(keys[0])})" if keys else ""
