"""Metrics (`task.Metric`) of short answers, and CHAIR. They apply the pure functions of metrics/ to examples.

Every metric but exact match also reports the share of empty answers. Undefined figures are omitted: without any "yes"
there is no precision.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .metrics.chair import find_objects, score_chair
from .metrics.choice_accuracy import ClassCounts, score_choices
from .metrics.exact_match import is_exact_match
from .metrics.gqa_accuracy import score_gqa
from .metrics.maxm_accuracy import score_maxm
from .metrics.vqa_accuracy import score_vqa
from .metrics.yes_no import score_yes_no
from .task import EvaluationExample, Scored

ACCURACY = "accuracy"
ANSWER_TYPE, QUESTION_TYPE = "answer_type", "question_type"  # facts of an example of VQAv2


@dataclass(frozen=True)
class ExactMatch:
    """The share of answers that equal one of their references; see metrics/exact_match.py."""

    description: str = "exact match of the whole answer"
    main: str = "exact_match"
    is_share: bool = True
    greater_is_better: bool = True

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        is_right = [
            float(is_exact_match(output, example.references))
            for example, output in zip(examples, outputs, strict=True)
        ]
        return Scored({self.main: sum(is_right) / len(is_right)}, tuple(is_right))


@dataclass(frozen=True)
class VqaAccuracy:
    """The accuracy of the official VQA evaluator: overall, per answer type and per question type.

    See metrics/vqa_accuracy.py. References are the annotators' answers; the types are `facts` of the examples. The
    evaluator credits an empty answer if annotators gave empty answers, too; `share_empty_credited` counts these.
    """

    description: str = "VQA accuracy of the official evaluator"
    main: str = "vqa_accuracy"
    is_share: bool = False
    greater_is_better: bool = True

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        scores = score_vqa(outputs, [example.references for example in examples])
        figures = {
            self.main: scores.accuracy,
            "share_empty": scores.num_empty / len(outputs),
            "share_empty_credited": scores.num_empty_credited / len(outputs),
        }
        for fact in (ANSWER_TYPE, QUESTION_TYPE):
            types = [example.facts[fact] for example in examples]
            figures |= {f"{fact} {name}": mean for name, mean in _means(types, scores.per_question).items()}
        return Scored(figures, scores.per_question)


@dataclass(frozen=True)
class GqaAccuracy:
    """Exact match after cleaning, and the relaxed match of the original evaluation; see metrics/gqa_accuracy.py.

    If answers are chosen among candidates, `share_not_offered` is the share of questions whose right answer is not a
    candidate.
    """

    description: str = "exact match of the cleaned answer"
    main: str = ACCURACY
    is_share: bool = True
    greater_is_better: bool = True

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        scores = score_gqa(outputs, _only_references(examples))
        figures = {
            self.main: scores.accuracy,
            "relaxed_accuracy": scores.relaxed_accuracy,
            "share_empty": scores.num_empty / len(outputs),
            "share_unreachable": scores.num_unreachable / len(outputs),
        }
        if examples[0].candidates:
            offered = set(examples[0].candidates)
            num_not_offered = sum(example.references[0] not in offered for example in examples)
            figures["share_not_offered"] = num_not_offered / len(outputs)
        return Scored(figures, _as_floats(scores.is_right))


@dataclass(frozen=True)
class MaxmAccuracy:
    """Exact match with any of the processed answers; see metrics/maxm_accuracy.py. An empty answer is never right."""

    description: str = "exact match with one of the processed answers"
    main: str = ACCURACY
    is_share: bool = True
    greater_is_better: bool = True

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        scores = score_maxm(outputs, [example.references for example in examples])
        figures = {self.main: scores.accuracy, "share_empty": scores.num_empty / len(outputs)}
        return Scored(figures, _as_floats(scores.is_right))


@dataclass(frozen=True)
class YesNoAccuracy:
    """POPE's five figures; see metrics/yes_no.py. An empty answer is always wrong; POPE's script reads it as yes.

    `share_assumed_yes` is the share of answers that were read as yes but do not contain the word.
    """

    description: str = "accuracy of yes and no"
    main: str = ACCURACY
    is_share: bool = True
    greater_is_better: bool = True

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        scores = score_yes_no(outputs, _only_references(examples))
        figures = {
            self.main: scores.accuracy,
            "precision": scores.precision,
            "recall": scores.recall,
            "f1": scores.f1,
            "yes_share": scores.yes_share,
            "share_empty": scores.num_empty / len(outputs),
            "share_assumed_yes": scores.num_assumed_yes / len(outputs),
        }
        return Scored(_defined(figures), _as_floats(scores.is_right))


@dataclass(frozen=True)
class ChoiceAccuracy:
    """The share of right choices among `candidates`; see metrics/choice_accuracy.py.

    For each candidate we also report its share of the answers and its recall. An answer that is no candidate is wrong;
    so is an empty one.
    """

    candidates: tuple[str, ...]
    description: str = "accuracy of the choice"
    main: str = ACCURACY
    is_share: bool = True
    greater_is_better: bool = True

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        scores = score_choices(outputs, _only_references(examples), self.candidates)
        figures = {
            self.main: scores.accuracy,
            "share_empty": scores.num_empty / len(outputs),
            "share_no_candidate": scores.num_no_candidate / len(outputs),
        }
        return Scored(figures | _class_figures(scores.classes, len(outputs)), _as_floats(scores.is_right))


@dataclass(frozen=True)
class ChairMetric:
    """CHAIR-s and CHAIR-i; see metrics/chair.py. References are the objects that the image shows.

    An empty caption names no object and scores best. Read the scores together with `objects_per_caption` and
    `share_empty`.

    Args:
        category_of: the list of synonyms, from `metrics.chair.read_synonyms`.

    Raises:
        ImportError: NLTK is not installed.
    """

    category_of: Mapping[str, str] = field(repr=False)
    description: str = "CHAIR-s: share of captions that name an object which is not there (lower is better)"
    main: str = "chair_s"
    is_share: bool = True
    greater_is_better: bool = False

    def __post_init__(self) -> None:
        find_objects("a", self.category_of)

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        objects = [example.references for example in examples]
        scores = score_chair(outputs, objects, self.category_of, split_sentences=split_sentences)
        figures = {
            self.main: scores.chair_s,
            "chair_i": scores.chair_i,
            "objects_per_caption": scores.num_objects / len(outputs),
            "share_without_objects": scores.num_without_objects / len(outputs),
            "share_empty": scores.num_empty / len(outputs),
        }
        return Scored(_defined(figures), tuple(caption.chair_s for caption in scores.per_caption))


def split_sentences(text: str) -> list[str]:
    """Split a text into sentences with NLTK's punkt, without a list of abbreviations.

    The original evaluation downloads such a list at run time. It contains no names of objects.
    """
    from nltk.tokenize.punkt import PunktSentenceTokenizer

    return PunktSentenceTokenizer().tokenize(text)


def _class_figures(classes: Mapping[str, ClassCounts], num_answers: int) -> dict[str, float]:
    figures = {f"share_{name}": counts.num_chosen / num_answers for name, counts in classes.items()}
    for name, counts in classes.items():
        if counts.num_references:
            figures[f"recall_{name}"] = counts.num_right / counts.num_references
    return figures


def _only_references(examples: Sequence[EvaluationExample]) -> list[str]:
    """The reference of each example. Raises ValueError if an example has none or several."""
    for example in examples:
        if len(example.references) != 1:
            raise ValueError(f"The example {example.id} has {len(example.references)} references, expected one.")
    return [example.references[0] for example in examples]


def _means(names: Iterable[str], values: Iterable[float]) -> dict[str, float]:
    groups: dict[str, list[float]] = defaultdict(list)
    for name, value in zip(names, values, strict=True):
        groups[name].append(value)
    return {name: sum(group) / len(group) for name, group in sorted(groups.items())}


def _defined(figures: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if value is not None}


def _as_floats(is_right: Iterable[bool]) -> tuple[float, ...]:
    return tuple(map(float, is_right))
