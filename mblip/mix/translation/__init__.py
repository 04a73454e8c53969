"""Translation of examples, with the checks that a translation has to pass.

examples.py turns English examples into the languages allotted to them; texts.py translates any text with care and
answers.py the answers of VQA; nllb.py holds what translates (engines.py), cache.py keeps what was translated.
"""

from .examples import ANSWER_TASKS, translate_examples

__all__ = ["ANSWER_TASKS", "translate_examples"]
