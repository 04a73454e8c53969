"""What the modules of answering metrics take: the columns, and the arguments in words."""

import datasets

SINGLE_REFERENCE_INPUTS = """
Args:
    predictions (list of str): the answers.
    references (list of str): the right answer to each question.
"""


def single_reference_features() -> datasets.Features:
    """An answer and the right one."""
    return datasets.Features({"predictions": datasets.Value("string"), "references": datasets.Value("string")})


def reference_list_features() -> datasets.Features:
    """An answer, or caption, and a list of texts that belong to it."""
    text = datasets.Value("string")
    return datasets.Features({"predictions": text, "references": datasets.Sequence(text)})
