"""The frame of the modules: what `evaluate` asks of a metric, and how captions come in.

A module's file is its documentation: the first paragraph of its docstring is the description, the rest says what goes
in and what comes out.
"""

import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import datasets
import evaluate

from ..metrics.caption_tokens import CaptionTokens, Tokenization, tokenize_captions

_TEXT = datasets.Value("string")
ONE_REFERENCE = datasets.Features({"predictions": _TEXT, "references": _TEXT})
REFERENCE_LISTS = datasets.Features({"predictions": _TEXT, "references": datasets.Sequence(_TEXT)})


class MetricModule(evaluate.Metric, ABC):
    """A metric as a module of `evaluate`, which calls `_compute` with the columns and the other arguments.

    `evaluate.load` takes the first class in a file that is not abstract. This one is, so a module may import it.
    """

    columns: ClassVar[datasets.Features]
    arguments: ClassVar[str] = ""  # in words, where the docstrings of several modules would repeat them
    bibtex: ClassVar[str] = ""
    urls: ClassVar[tuple[str, ...]] = ()

    def _info(self) -> evaluate.MetricInfo:
        text = sys.modules[self.__module__].__doc__ or ""
        description, _, usage = text.partition("\n\n")
        return evaluate.MetricInfo(
            description=description,
            citation=inspect.cleandoc(self.bibtex),
            inputs_description=f"\n{self.arguments}{usage}",
            features=self.columns.copy(),
            reference_urls=list(self.urls),
        )

    @abstractmethod
    def _compute(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The values, from `predictions` and the arguments of `compute`; only plain types."""


class CaptionModule(MetricModule):
    """A metric of captions as tokens: `_score` gets these."""

    columns = REFERENCE_LISTS
    arguments = """\
Args:
    predictions (list of str): one caption for each image.
    references (list of list of str): one or more captions for each image; their number may differ.
    language (str): code of the language, as the training mix writes it (`iw` for Hebrew); default `en`. Captions
        in `zh`, `ja` and `th` are segmented into words.
    tokenization (str): `ptb` (default), `characters` (zh, ja and th by character instead of by word), or `segmented`
        (spaces between words are there already).
"""

    def _compute(
        self,
        *,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        language: str = "en",
        tokenization: Tokenization = "ptb",
    ) -> dict[str, Any]:
        tokens = tokenize_captions(predictions, references, language=language, tokenization=tokenization)
        return self._score(tokens) | {"tokenization": tokens.description}

    @abstractmethod
    def _score(self, tokens: CaptionTokens) -> dict[str, Any]:
        """The values of the set and of each image."""
