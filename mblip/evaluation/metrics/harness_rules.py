"""How other harnesses decide whether an answer is right, for figures that compare with theirs.

Each rule takes an answer and its references and gives a value from 0 to 1. Sources:

- mBLIP: src/tasks/vllm/evaluation.py of gregor-ge/mBLIP. It deletes line breaks and tabs, cleans the answer as the VQA
  evaluator does (vqa_cleaning.py), and only lower-cases the references.
- Centurio: src/tasks/vllm/evaluation.py of gregor-ge/Centurio with `vqa_process: False`.
- Pangea: tasks/xgqa, maxm and marvl of its lmms-eval in neulab/Pangea.
- lmms-eval: tasks/vqav2, gqa and pope, and api/metrics.py of EvolvingLMMs-Lab/lmms-eval.
- VLMEvalKit: vlmeval/dataset/utils/yorn.py of open-compass/VLMEvalKit, without a judge model.
"""

import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .vqa_accuracy import share_of_annotators
from .vqa_cleaning import clean_vqa_answer, without_punctuation

_COMMAS_IN_NUMBER = re.compile(r"(?<=\d),+(?=\d)")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class Rule:
    """A rule and whose it is. `score`: of an answer and its references; None if a metric applies it to all at once."""

    description: str
    score: Callable[[str, Sequence[str]], float] | None = None


def mblip_vqa_accuracy(answer: str, references: Sequence[str]) -> float:
    """mBLIP's VQA accuracy: the answer is always cleaned, the annotators' answers never."""
    return share_of_annotators(_mblip_clean(answer), [reference.lower().strip() for reference in references])


def lmms_eval_vqa_accuracy(answer: str, references: Sequence[str]) -> float:
    """lmms-eval's VQA accuracy: both sides are always cleaned. Several commas in a number count as one."""
    cleaned, *others = [clean_vqa_answer(_COMMAS_IN_NUMBER.sub(",", text)) for text in (answer, *references)]
    return share_of_annotators(cleaned, others)


def mblip_match(answer: str, references: Sequence[str]) -> float:
    """mBLIP's `acc`: the cleaned answer equals the reference."""
    return float(_mblip_clean(answer) == references[0].lower().strip())


def lower_case_match(answer: str, references: Sequence[str]) -> float:
    """Centurio's `acc`, and lmms-eval's POPE: equal but for case and surrounding space."""
    return float(answer.lower().strip() == references[0].lower().strip())


def pangea_contains(answer: str, references: Sequence[str]) -> float:
    """Pangea's xGQA: the answer contains the reference, also within a word ("no" in "snow")."""
    return float(references[0].strip().lower() in answer.strip().lower())


def pangea_true_or_false(answer: str, references: Sequence[str]) -> float:
    """Pangea's MaRVL and NLVR2: an answer with "yes" is true, else one with "no", also within a word, is false."""
    text = answer.strip().lower()
    found = "true" if "yes" in text else "false" if "no" in text else text
    return float({"yes": "true", "no": "false"}[references[0]] in found)


def pangea_maxm_match(answer: str, references: Sequence[str]) -> float:
    """Pangea's `exact_match` of MaXM: case, punctuation and surrounding space count."""
    return float(answer != "" and answer in references)  # "": there are no references


def pangea_relaxed_maxm_match(answer: str, references: Sequence[str]) -> float:
    """Pangea's `relaxed_accuracy` of MaXM: the cleaned answer begins or ends with a reference.

    Pangea cleans the printed form of a list that holds the answer, `['a dog']`, so an article in front stays.
    """
    cleaned = _mblip_clean(repr([answer.rstrip(".")])).strip("'")
    expected = [{"true": "yes", "false": "no"}.get(text.strip().lower(), text.strip()) for text in references if text]
    return float(any(cleaned.startswith(text) or cleaned.endswith(text) for text in expected))


def lmms_eval_match(answer: str, references: Sequence[str]) -> float:
    """lmms-eval's `exact_match` of GQA: equal but for case and ASCII punctuation."""
    answer, reference = (text.lower().translate(_PUNCTUATION) for text in (answer.strip(), references[0]))
    return float(answer == reference)


def vlmevalkit_yes_no(answer: str, references: Sequence[str]) -> float:
    """VLMEvalKit's yes and no: the answer contains the word and not the other one."""
    found = {"yes", "no"}.intersection(without_punctuation(answer.lower()).split())
    return float(found == {references[0]})


def _mblip_clean(answer: str) -> str:
    return clean_vqa_answer(answer.replace("\n", "").replace("\t", ""))
