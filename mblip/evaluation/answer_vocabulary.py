"""The answers that a benchmark chooses from, as published: trainval_label2ans.json of GQA (1,842) and VQAv2 (3,129).

The file is a JSON list of texts. VQAv2's has an empty one, which is left out and counted: saying nothing is no answer.
"""

import json
from pathlib import Path

from mblip.data.left_out import LeftOut
from mblip.data.sources.records import describe


def read_vocabulary(path: str | Path, left_out: LeftOut) -> tuple[str, ...]:
    """The answers of a file, in its order.

    Raises:
        ValueError: there is no such file, it is no JSON list of texts, or an answer stands in it twice.
    """
    path = Path(path)
    try:
        answers = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ValueError(f"There is no file {path}. Expected the vocabulary of answers to choose from.") from error
    except ValueError as error:
        raise ValueError(f"{path} is not JSON in UTF-8: {error}.") from error
    if not isinstance(answers, list) or not answers:
        raise ValueError(f"{path}: found {describe(answers)}, expected a list of answers, such as GQA's 1,842.")
    for position, answer in enumerate(answers):
        if not isinstance(answer, str):
            raise ValueError(f"{path}, answer {position}: found {describe(answer)}, expected text.")
        if not answer.strip():
            left_out.add("empty answer of the vocabulary", f"{path.name}, answer {position}")
    kept = tuple(answer for answer in answers if answer.strip())
    if len(set(kept)) < len(kept):
        twice = next(answer for position, answer in enumerate(kept) if answer in kept[:position])
        raise ValueError(f"{path}: the answer {twice!r} stands there more than once. Fetch the file again.")
    return kept
