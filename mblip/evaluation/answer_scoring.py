"""Metrics (`task.Metric`) of short answers, and CHAIR. They apply the pure functions of metrics/ to examples.

Beside its main figure a metric reports those by which other harnesses judge the same answers (harness_rules.py):
`accuracy_pangea` is what Pangea's evaluation calls accuracy. `main` chooses the one that tables and intervals show.

Every metric but exact match also reports the share of empty answers. Undefined figures are omitted: without any "yes"
there is no precision.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from .metrics import harness_rules as harness
from .metrics.answers import is_empty
from .metrics.chair import find_objects, score_chair
from .metrics.choice_accuracy import score_choices
from .metrics.exact_match import is_exact_match
from .metrics.figure_sums import FigureSums, ratio
from .metrics.gqa_accuracy import score_gqa
from .metrics.harness_rules import Rule
from .metrics.maxm_accuracy import score_maxm
from .metrics.vqa_accuracy import score_vqa
from .metrics.yes_no import score_yes_no
from .task import EvaluationExample, Scored

ACCURACY = "accuracy"
# Facts of an example: its types in VQAv2, and MaXM's answers before processing, one per line.
ANSWER_TYPE, QUESTION_TYPE, RAW_ANSWERS = "answer_type", "question_type", "answers"
CENTURIO = Rule("Centurio's exact match, without cleaning", harness.lower_case_match)
MBLIP = Rule("the original mBLIP's exact match of the cleaned answer", harness.mblip_match)


@dataclass(frozen=True)
class ExactMatch:
    """The share of answers that equal one of their references, also in case unless `ignore_case`; see
    metrics/exact_match.py."""

    description: str = "exact match of the whole answer"
    main: str = "exact_match"
    is_share: bool = True
    greater_is_better: bool = True
    others: ClassVar[Mapping[str, str]] = {}
    ignore_case: bool = False

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        is_right = [
            is_exact_match(output, example.references, ignore_case=self.ignore_case)
            for example, output in zip(examples, outputs, strict=True)
        ]
        return Scored.of_sums(self.main, {self.main: ratio(is_right)})


@dataclass(frozen=True, kw_only=True)
class AnswerMetric(ABC):
    """A metric of short answers with the figures of several harnesses.

    Args:
        main: the main figure.

    Raises:
        ValueError: `main` is none of the figures in `rules`.
    """

    main: str = ACCURACY
    is_share: ClassVar[bool] = True
    greater_is_better: ClassVar[bool] = True

    @property
    @abstractmethod
    def rules(self) -> Mapping[str, Rule]:
        """Figure -> its rule."""

    def __post_init__(self) -> None:
        if self.main not in self.rules:
            raise ValueError(f"Found `main: {self.main}`, expected one of {', '.join(self.rules)}.")

    @property
    def description(self) -> str:
        return self.rules[self.main].description

    @property
    def others(self) -> Mapping[str, str]:
        return {figure: rule.description for figure, rule in self.rules.items() if figure != self.main}

    def _by_rules(self, outputs: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, FigureSums]:
        """The figures whose rules score an answer at a time, and the share of empty answers."""
        scores = {
            figure: [rule.score(*pair) for pair in zip(outputs, references, strict=True)]
            for figure, rule in self.rules.items()
            if rule.score is not None
        }
        return {name: ratio(values) for name, values in (scores | {"share_empty": _are_empty(outputs)}).items()}


@dataclass(frozen=True, kw_only=True)
class VqaAccuracy(AnswerMetric):
    """The accuracy of the official VQA evaluator: overall, per answer type and per question type.

    See metrics/vqa_accuracy.py. References are the annotators' answers; the types are `facts` of the examples. The
    evaluator credits an empty answer if annotators gave empty answers, too; `share_empty_credited` counts these. The
    figures per type are those of the main figure.
    """

    main: str = "vqa_accuracy"
    is_share: ClassVar[bool] = False
    rules: ClassVar[Mapping[str, Rule]] = {
        "vqa_accuracy": Rule("VQA accuracy of the official evaluator"),
        "vqa_accuracy_mblip": Rule(
            "VQA accuracy of the original mBLIP, which cleans answers only", harness.mblip_vqa_accuracy
        ),
        "vqa_accuracy_lmms_eval": Rule(
            "VQA accuracy of lmms-eval, which cleans both sides", harness.lmms_eval_vqa_accuracy
        ),
    }

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        references = [example.references for example in examples]
        scores = score_vqa(outputs, references)
        sums = {"vqa_accuracy": ratio(scores.per_question)} | self._by_rules(outputs, references)
        is_credited = [
            is_empty(output) and score > 0 for output, score in zip(outputs, scores.per_question, strict=True)
        ]
        sums["share_empty_credited"] = ratio(is_credited)
        exact, per_question = {"vqa_accuracy": scores.accuracy}, np.array(sums[self.main].per_example)
        for fact in (ANSWER_TYPE, QUESTION_TYPE):
            types = np.array([example.facts[fact] for example in examples])
            for name in sorted(set(types.tolist())):
                figure, is_name = f"{fact} {name}", types == name
                sums[figure] = ratio(per_question * is_name, is_name)
                exact[figure] = sum(per_question[is_name].tolist()) / int(is_name.sum())
        return Scored.of_sums(self.main, sums, exact)


@dataclass(frozen=True, kw_only=True)
class GqaAccuracy(AnswerMetric):
    """Exact match after cleaning, and the relaxed match of the original evaluation; see metrics/gqa_accuracy.py.

    If answers are chosen among candidates, `share_not_offered` is the share of questions whose right answer is not a
    candidate.
    """

    rules: ClassVar[Mapping[str, Rule]] = {
        ACCURACY: Rule("exact match of the cleaned answer"),
        "relaxed_accuracy": Rule("the original mBLIP's relaxed match: the cleaned answer begins or ends with it"),
        "accuracy_centurio": CENTURIO,
        "accuracy_pangea": Rule("Pangea's match: the answer contains the reference", harness.pangea_contains),
        "accuracy_lmms_eval": Rule("lmms-eval's exact match without punctuation", harness.lmms_eval_match),
    }

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        references = _only_references(examples)
        scores = score_gqa(outputs, references)
        sums = {ACCURACY: ratio(scores.is_right), "relaxed_accuracy": ratio(scores.is_relaxed_right)}
        sums |= self._by_rules(outputs, [(reference,) for reference in references])
        figures = {"share_unreachable": scores.num_unreachable / len(outputs)}
        if examples[0].candidates:
            offered = set(examples[0].candidates)
            figures["share_not_offered"] = sum(one not in offered for one in references) / len(outputs)
        return Scored.of_sums(self.main, sums, figures)


@dataclass(frozen=True, kw_only=True)
class MaxmAccuracy(AnswerMetric):
    """Exact match with any of the processed answers; see metrics/maxm_accuracy.py. An empty answer is never right.

    Pangea compares with the answers before processing, `facts["answers"]`.
    """

    rules: ClassVar[Mapping[str, Rule]] = {
        ACCURACY: Rule("exact match with one of the processed answers"),
        "accuracy_pangea": Rule("Pangea's match, in which case counts", harness.pangea_maxm_match),
        "relaxed_accuracy_pangea": Rule("Pangea's relaxed match", harness.pangea_relaxed_maxm_match),
    }

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        scores = score_maxm(outputs, [example.references for example in examples])
        raw = [
            example.facts[RAW_ANSWERS].split("\n") if RAW_ANSWERS in example.facts else example.references
            for example in examples
        ]
        return Scored.of_sums(self.main, {ACCURACY: ratio(scores.is_right)} | self._by_rules(outputs, raw))


@dataclass(frozen=True, kw_only=True)
class YesNoAccuracy(AnswerMetric):
    """POPE's five figures; see metrics/yes_no.py. An empty answer is always wrong; POPE's script reads it as yes.

    `share_assumed_yes` is the share of answers that were read as yes but do not contain the word.
    """

    rules: ClassVar[Mapping[str, Rule]] = {
        ACCURACY: Rule("accuracy of yes and no"),
        "accuracy_mblip": MBLIP,
        "accuracy_lmms_eval": Rule("lmms-eval's exact match", harness.lower_case_match),
        "accuracy_vlmevalkit": Rule("VLMEvalKit's, which looks for the words", harness.vlmevalkit_yes_no),
    }

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        labels = _only_references(examples)
        scores = score_yes_no(outputs, labels)
        says_yes, is_yes = (np.array([one == "yes" for one in answers]) for answers in (scores.read, labels))
        sums = {ACCURACY: ratio(scores.is_right)} | self._by_rules(outputs, [(label,) for label in labels])
        sums |= {
            "precision": ratio(says_yes & is_yes, says_yes),
            "recall": ratio(says_yes & is_yes, is_yes),
            "f1": ratio(2 * (says_yes & is_yes), says_yes * 1 + is_yes),
            "yes_share": ratio(says_yes),
            "share_assumed_yes": ratio(scores.is_assumed_yes),
        }
        return Scored.of_sums(self.main, sums, {"f1": scores.f1})


@dataclass(frozen=True)
class ChoiceAccuracy(AnswerMetric):
    """The share of right choices among `candidates`; see metrics/choice_accuracy.py.

    For each candidate we also report its share of the answers and its recall. An answer that is no candidate is wrong;
    so is an empty one.
    """

    candidates: tuple[str, ...]

    @property
    def rules(self) -> Mapping[str, Rule]:
        rules = {ACCURACY: Rule("accuracy of the choice"), "accuracy_mblip": MBLIP, "accuracy_centurio": CENTURIO}
        if set(self.candidates) == {"yes", "no"}:
            rules["accuracy_pangea"] = Rule("Pangea's, which looks for yes, then for no", harness.pangea_true_or_false)
        return rules

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        references = _only_references(examples)
        scores = score_choices(outputs, references, self.candidates)
        sums = {ACCURACY: ratio(scores.is_right)} | self._by_rules(outputs, [(one,) for one in references])
        sums["share_no_candidate"] = ratio([choice is None for choice in scores.chosen])
        for name in self.candidates:
            sums[f"share_{name}"] = ratio([choice == name for choice in scores.chosen])
        for name in self.candidates:
            is_name = np.array([reference == name for reference in references])
            sums[f"recall_{name}"] = ratio(is_name & scores.is_right, is_name)
        return Scored.of_sums(self.main, sums)


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
    others: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        find_objects("a", self.category_of)

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        objects = [example.references for example in examples]
        captions = score_chair(outputs, objects, self.category_of, split_sentences=split_sentences).per_caption
        num_objects = np.array([len(caption.objects) for caption in captions])
        sums = {
            self.main: ratio([caption.chair_s for caption in captions]),
            "chair_i": ratio([len(caption.hallucinated) for caption in captions], num_objects),
            "objects_per_caption": ratio(num_objects),
            "share_without_objects": ratio(num_objects == 0),
            "share_empty": ratio(_are_empty(outputs)),
        }
        return Scored.of_sums(self.main, sums)


def split_sentences(text: str) -> list[str]:
    """Split a text into sentences with NLTK's punkt, without a list of abbreviations.

    The original evaluation downloads such a list at run time. It contains no names of objects.
    """
    from nltk.tokenize.punkt import PunktSentenceTokenizer

    return PunktSentenceTokenizer().tokenize(text)


def _only_references(examples: Sequence[EvaluationExample]) -> list[str]:
    """The reference of each example. Raises ValueError if an example has none or several."""
    for example in examples:
        if len(example.references) != 1:
            raise ValueError(f"The example {example.id} has {len(example.references)} references, expected one.")
    return [example.references[0] for example in examples]


def _are_empty(outputs: Sequence[str]) -> list[bool]:
    return [is_empty(output) for output in outputs]
