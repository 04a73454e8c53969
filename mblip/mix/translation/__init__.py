"""Translation of examples, with checks of every translation.

examples.py translates English examples into their allotted languages. It uses texts.py for general texts and
answers.py for answers of VQA. engines.py defines a translation engine, nllb.py implements it, and cache.py stores
translations.
"""

from .examples import ANSWER_TASKS, translate_examples

__all__ = ["ANSWER_TASKS", "translate_examples"]
