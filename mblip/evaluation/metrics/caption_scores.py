"""The scores of captions that are published: CIDEr-D, BLEU-1 to BLEU-4 and ROUGE-L, as pycocoevalcap 1.2 gives them.

No Java: the tokenizer is ours. METEOR and SPICE, which pycocoevalcap computes with Java programs, are not computed.
chrF, which needs no words, is in chrf.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .bleu import bleu
from .caption_tokens import Tokenization, tokenize_captions
from .cider import cider_d
from .ngram_counts import count_ngrams
from .rouge_l import rouge_l


@dataclass(frozen=True)
class CaptionScores:
    """Scores by name: `CIDEr-D` (0 to 10; pycocoevalcap calls it CIDEr), `BLEU-1` to `BLEU-4` and `ROUGE-L` (0 to 1).

    `overall` are those of the set; `per_image` has one for each image, in the order in which they came in. `language`
    and `tokenization` (with the versions of libraries) belong to every figure: another tokenization gives others.
    """

    overall: Mapping[str, float]
    per_image: Mapping[str, tuple[float, ...]]
    language: str
    tokenization: str


def score_captions(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    language: str = "en",
    tokenization: Tokenization = "ptb",
) -> CaptionScores:
    """Score one hypothesis for each image against its references.

    An empty hypothesis, or one of punctuation alone, counts like any other: it has 0 in CIDEr-D and BLEU, and 0 in
    ROUGE-L (1 where one of the references has no words either, as in the reference implementation). CIDEr-D depends on
    the set: it takes the frequency of n-grams from all references given, and is 0 for a single image. The order of
    images and of references changes no bit of a score, unless a caption ends in an abbreviation whose period the
    tokenizer takes or leaves by how the next caption begins (ptb/tokenizer.py).

    Args:
        language: a code of mblip/evaluation/languages.py; zh, ja and th are segmented.
        tokenization: see `tokenize_captions`.

    Raises:
        ValueError: nobody knows the language or the tokenization; there is no image, or one without a reference, or
            hypotheses and references are of unequal length.
        ImportError: the library that segments the language is not installed.
    """
    tokens = tokenize_captions(hypotheses, references, language=language, tokenization=tokenization)
    counts = count_ngrams(tokens.hypotheses, tokens.references)
    scores = {"CIDEr-D": cider_d(counts)}
    scores |= {f"BLEU-{order}": score for order, score in enumerate(bleu(counts), start=1)}
    scores["ROUGE-L"] = rouge_l(tokens.hypotheses, tokens.references)
    return CaptionScores(
        overall={name: score.overall for name, score in scores.items()},
        per_image={name: score.per_image for name, score in scores.items()},
        language=language,
        tokenization=tokens.description,
    )
