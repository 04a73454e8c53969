"""The wording an evaluation asks in: one for all examples, where training draws from many."""

from typing import Literal

from mblip.data.languages import get_language
from mblip.data.prompts import get_task

WordingChoice = Literal["first", "held_out"]


def fixed_prompt(task: str, language: str, wording: WordingChoice = "first", **inputs: str) -> str:
    """The prompt of a task of prompts.py, in its first wording (mBLIP's own, where there is one) or the one that
    training never uses.

    Raises:
        ValueError: the task or language is unknown.
    """
    wordings = get_task(task)
    chosen = wordings.held_out if wording == "held_out" else wordings.wordings[0]
    return chosen.text.format(language=get_language(language).name, **inputs)
