"""Translation of examples, with the checks that a translation has to pass.

examples.py turns English examples into the languages allotted to them; texts.py translates any text with care and
answers.py the answers of VQA; engines/ holds what translates.
"""

from .examples import ANSWER_TASKS, OnFailure, translate_examples

__all__ = ["ANSWER_TASKS", "OnFailure", "translate_examples"]
