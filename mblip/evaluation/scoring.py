"""Metrics of tasks: the pure functions of metrics/, put to examples and answers (`task.Metric`)."""

from collections.abc import Sequence
from dataclasses import dataclass

from .metrics.exact_match import is_exact_match
from .task import EvaluationExample, Scored


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
