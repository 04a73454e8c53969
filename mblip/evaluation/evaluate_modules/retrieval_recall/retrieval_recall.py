"""Recall at k from images to their captions and from captions to their images; ties count as lost.

Args:
    predictions (list of list of float): for each image its scores with all captions, the higher the better; -inf where
        a pair was not scored.
    references (list of list of int): for each image the positions of its captions, counted from 0.
    ks (list of int): how many of the first entries count; default 1, 5, 10.
Returns:
    image_to_text, text_to_image: for each direction `recall_at_K` from 0 to 1, and the place of the first right entry
    of each search, counted from 1, as `places`, with `median_place`.
Example:
    >>> recall = evaluate.load("mblip/evaluation/evaluate_modules/retrieval_recall")
    >>> scores = [[0.9, 0.2, 0.4], [0.1, 0.3, 0.2]]
    >>> recall.compute(predictions=scores, references=[[0, 1], [2]], ks=[1])["image_to_text"]["recall_at_1"]
    0.5
"""

from collections.abc import Sequence
from typing import Any

import datasets

from mblip.evaluation.evaluate_modules.metric_module import MetricModule
from mblip.evaluation.metrics.retrieval import image_of_each_caption, score_retrieval


class RetrievalRecall(MetricModule):
    columns = datasets.Features(
        {
            "predictions": datasets.Sequence(datasets.Value("float64")),
            "references": datasets.Sequence(datasets.Value("int64")),
        }
    )

    def _compute(
        self,
        *,
        predictions: Sequence[Sequence[float]],
        references: Sequence[Sequence[int]],
        ks: Sequence[int] = (1, 5, 10),
    ) -> dict[str, Any]:
        scores = score_retrieval(predictions, image_of_each_caption(references), ks=ks)
        return {
            name: {f"recall_at_{k}": share for k, share in recall.at.items()}
            | {"median_place": recall.median_place, "places": list(recall.places)}
            for name, recall in (("image_to_text", scores.image_to_text), ("text_to_image", scores.text_to_image))
        }
