"""What the modules of captioning metrics take: the columns, and the arguments in words."""

import datasets

CAPTION_INPUTS = """
Args:
    predictions (list of str): one caption for each image.
    references (list of list of str): one or more captions for each image; their number may differ.
"""
TOKENIZED_INPUTS = (
    CAPTION_INPUTS
    + """\
    language (str): code of the language, as the training mix writes it (`iw` for Hebrew); default `en`. Captions
        in `zh`, `ja` and `th` are segmented into words.
    tokenization (str): `ptb` (default), `characters` (zh, ja and th by character instead of by word), or `segmented`
        (spaces between words are there already).
"""
)


def caption_features() -> datasets.Features:
    """A caption and the list of its references."""
    text = datasets.Value("string")
    return datasets.Features({"predictions": text, "references": datasets.Sequence(text)})
