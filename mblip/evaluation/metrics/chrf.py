"""chrF: the character n-grams that a text shares with its references. It suits languages with long, rare words.

Popović (2015), computed by sacrebleu with its defaults: n-grams of one to six characters without white space, recall
twice as important as precision, case-sensitive. It needs no tokenization or segmentation.
"""

import unicodedata
from collections.abc import Sequence
from itertools import zip_longest

from .image_scores import ImageScores, check_captions


def chrf(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> ImageScores:
    """chrF for a set of images and for each image, from 0 to 1 (sacrebleu prints 100 times this value).

    An image's score is that of its best reference. The score of the set comes from the counts of all images. Text is
    normalised to NFC. An empty hypothesis scores 0.

    Raises:
        ValueError: there are no images, an image has no reference, or the two differ in length.
        ImportError: sacrebleu is not installed.
    """
    check_captions(hypotheses, references)
    try:
        from sacrebleu.metrics import CHRF
    except ImportError as error:
        raise ImportError("chrF needs sacrebleu, which is not installed: `pip install mblip[eval]`.") from error
    outputs = [unicodedata.normalize("NFC", text) for text in hypotheses]
    groups = [[unicodedata.normalize("NFC", text) for text in group] for group in references]
    metric = CHRF()
    per_image = tuple(
        metric.sentence_score(output, group).score / 100 for output, group in zip(outputs, groups, strict=True)
    )
    # Stream k holds the k-th reference of each image; sacrebleu skips None for images with fewer.
    streams = [list(stream) for stream in zip_longest(*groups)]
    return ImageScores(metric.corpus_score(outputs, streams).score / 100, per_image)
