"""CHAIR-s and CHAIR-i: the objects of COCO that captions name and the images do not show.

Args:
    predictions (list of str): one caption for each image.
    references (list of list of str): the categories of COCO that each image shows; may be empty.
    synonyms (str): path of CHAIR's list, data/synonyms.txt of https://github.com/LisaAnne/Hallucination.
    split_sentences (callable): optional, cuts a text into sentences, such as NLTK's `sent_tokenize`; wanted for
        captions of several sentences.
Returns:
    chair_s, chair_i: 0 to 1, lower is better, chair_i None where no caption names an object; per_caption: for each
    chair_s, chair_i and the words that are hallucinated; num_objects: all that were named; num_without_objects and
    num_empty: captions.
Example:
    >>> chair = evaluate.load("mblip/evaluation/evaluate_modules/chair")
    >>> captions = {"predictions": ["a man and two dogs"], "references": [["person"]]}
    >>> chair.compute(**captions, synonyms="synonyms.txt")["chair_i"]
    0.5
"""

from collections.abc import Callable, Sequence
from typing import Any

from mblip.evaluation.evaluate_modules.metric_module import REFERENCE_LISTS, MetricModule
from mblip.evaluation.metrics.chair import read_synonyms, score_chair


class Chair(MetricModule):
    columns = REFERENCE_LISTS
    bibtex = """@inproceedings{rohrbach2018object,
      title = {Object Hallucination in Image Captioning},
      author = {Rohrbach, Anna and Hendricks, Lisa Anne and Burns, Kaylee and Darrell, Trevor and Saenko, Kate},
      booktitle = {EMNLP},
      year = {2018}
    }"""
    urls = (
        "https://arxiv.org/abs/1809.02156",
        "https://github.com/LisaAnne/Hallucination",
    )

    def _compute(
        self,
        *,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        synonyms: str,
        split_sentences: Callable[[str], Sequence[str]] | None = None,
    ) -> dict[str, Any]:
        scores = score_chair(predictions, references, read_synonyms(synonyms), split_sentences=split_sentences)
        return {
            "chair_s": scores.chair_s,
            "chair_i": scores.chair_i,
            "per_caption": [
                {
                    "chair_s": caption.chair_s,
                    "chair_i": caption.chair_i,
                    "hallucinated": [entry.word for entry in caption.hallucinated],
                }
                for caption in scores.per_caption
            ],
            "num_objects": scores.num_objects,
            "num_without_objects": scores.num_without_objects,
            "num_empty": scores.num_empty,
        }
