"""The metric of captions: the pure functions of metrics/, put to examples and answers (`task.Metric`)."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from .metrics.caption_scores import score_captions
from .metrics.caption_tokens import Tokenization
from .metrics.chrf import chrf
from .metrics.language_fidelity import find_language, language_fidelity
from .metrics.segmentation import load_segmenter
from .task import EvaluationExample, Scored

CIDER = "CIDEr-D"


@dataclass(frozen=True)
class CaptionMetric:
    """CIDEr-D, and beside it BLEU-1 to BLEU-4, ROUGE-L and chrF, language fidelity and the length of the captions.

    CIDEr-D and BLEU depend on the set of images that is scored, so figures of different sets are not comparable. An
    empty caption has 0 in all of them (in ROUGE-L 1 where a reference has no words either, as in the reference
    implementation), is in no language, and is counted in `share_empty`. `share_near_language` of the captions are in
    a language that human captions in the one asked for are taken for, too.

    Args:
        languages: of the captions. What tells their words apart is loaded at once: a library that is not installed
            is told of before a model is asked, and not after.
        tokenization: see metrics/caption_tokens.py; another one gives other figures.

    Raises:
        ImportError: a library is not installed; the message has the command.
    """

    languages: tuple[str, ...]
    tokenization: Tokenization = "ptb"
    main: str = CIDER
    is_share: bool = False
    greater_is_better: bool = True

    def __post_init__(self) -> None:
        self._segmenters()
        chrf(["a"], [["a"]])
        find_language("a")

    @property
    def description(self) -> str:
        parts = ["PTB tokens", *(f"{code}: {name}" for code, name in self._segmenters().items())]
        if self.tokenization == "segmented":
            parts.append("segmented before")
        return f"{CIDER} as in pycocoevalcap ({'; '.join(parts)})"

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        language = examples[0].language
        references = [example.references for example in examples]
        scores = score_captions(outputs, references, language=language, tokenization=self.tokenization)
        fidelity = language_fidelity(outputs, language)
        figures = dict(scores.overall) | {
            "chrF": chrf(outputs, references).overall,
            "language_fidelity": fidelity.share,
            "share_near_language": fidelity.num_near / len(outputs),
            "share_empty": fidelity.num_empty / len(outputs),
            "mean_characters": sum(len(unicodedata.normalize("NFC", output)) for output in outputs) / len(outputs),
        }
        return Scored(figures, scores.per_image[CIDER])

    def _segmenters(self) -> dict[str, str]:
        """Language -> by what its words are told apart, where there are no spaces between them."""
        if self.tokenization == "segmented":
            return {}
        by_character = self.tokenization == "characters"
        loaded = {code: load_segmenter(code, by_character=by_character) for code in self.languages}
        return {code: segmenter.name for code, segmenter in loaded.items() if segmenter is not None}
