"""The usual scores of captions: CIDEr-D, BLEU-1 to BLEU-4 and ROUGE-L, equal to those of pycocoevalcap 1.2.

They need no Java, because the tokenizer is ours. We do not compute METEOR and SPICE, for which pycocoevalcap runs Java
programs. chrF, which needs no tokenization, is in chrf.py.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .bleu import bleu
from .caption_tokens import Tokenization, tokenize_captions
from .cider import cider_d
from .image_scores import ImageScores
from .ngram_counts import count_ngrams
from .rouge_l import rouge_l


@dataclass(frozen=True)
class CaptionScores:
    """Scores by name: `CIDEr-D` (0 to 10; pycocoevalcap calls it CIDEr), `BLEU-1` to `BLEU-4` and `ROUGE-L` (0 to 1).

    `overall` holds the scores of the set, `per_image` those of each image, in the order given. State `language` and
    `tokenization` (with library versions) with every figure, because the figures depend on them.
    """

    scores: Mapping[str, ImageScores]
    language: str
    tokenization: str

    @property
    def overall(self) -> dict[str, float]:
        return {name: score.overall for name, score in self.scores.items()}

    @property
    def per_image(self) -> dict[str, tuple[float, ...]]:
        return {name: score.per_image for name, score in self.scores.items()}


def score_captions(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    language: str = "en",
    tokenization: Tokenization = "ptb",
    ignored: re.Pattern[str] | None = None,
) -> CaptionScores:
    """Score one hypothesis per image against its references.

    An empty hypothesis, or one of punctuation only, counts like any other: it scores 0 in CIDEr-D, BLEU and ROUGE-L.
    (In ROUGE-L it scores 1 if a reference has no words either, as in the reference implementation.) CIDEr-D depends on
    the set: it takes n-gram frequencies from all references, and is 0 for a single image. The order of images and
    references does not change a score by a single bit, with one exception: if a caption ends in an abbreviation, the
    next caption may decide whether the tokenizer keeps its period (ptb/tokenizer.py).

    Args:
        language: a code of mblip/evaluation/languages.py; zh, ja and th are segmented.
        tokenization, ignored: see `tokenize_captions`.

    Raises:
        ValueError: language or tokenization is unknown, there are no images, an image has no reference, or hypotheses
            and references differ in length.
        TypeError: a hypothesis or reference is no text.
        ImportError: the library that segments the language is not installed.
    """
    tokens = tokenize_captions(hypotheses, references, language=language, tokenization=tokenization, ignored=ignored)
    counts = count_ngrams(tokens.hypotheses, tokens.references)
    scores = {"CIDEr-D": cider_d(counts)}
    scores |= {f"BLEU-{order}": score for order, score in enumerate(bleu(counts), start=1)}
    scores["ROUGE-L"] = rouge_l(tokens.hypotheses, tokens.references)
    return CaptionScores(scores, language, tokens.description)
