"""chrF: n-grams of characters that a text shares with its references, for languages in which words say little.

Popović (2015), computed by sacrebleu with its defaults: n-grams of one to six characters, white space left out, recall
twice as important as precision, case kept. No tokenizer and no segmentation have a part in it.
"""

import unicodedata
from collections.abc import Sequence
from itertools import zip_longest

from .image_scores import ImageScores, check_images


def chrf(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> ImageScores:
    """chrF of a set of images and of each of them, from 0 to 1 (sacrebleu prints a hundred times that).

    Of several references, the one counts that gives an image the highest score; the value of the set comes from the
    counts of all images. Text is brought to NFC. An empty hypothesis has 0.

    Raises:
        ValueError: there is no image, or one without a reference, or the two are of unequal length.
        ImportError: sacrebleu is not installed.
    """
    check_images(hypotheses, references)
    try:
        from sacrebleu.metrics import CHRF
    except ImportError as error:
        raise ImportError("chrF takes sacrebleu, which is not installed: `pip install mblip[eval]`.") from error
    outputs = [unicodedata.normalize("NFC", text) for text in hypotheses]
    groups = [[unicodedata.normalize("NFC", text) for text in group] for group in references]
    metric = CHRF()
    per_image = tuple(
        metric.sentence_score(output, group).score / 100 for output, group in zip(outputs, groups, strict=True)
    )
    # The k-th references of all images; sacrebleu skips None where an image has fewer.
    streams = [list(stream) for stream in zip_longest(*groups)]
    return ImageScores(metric.corpus_score(outputs, streams).score / 100, per_image)
