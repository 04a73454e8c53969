"""Answers by likelihood: ranking, calibration, constrained decoding and image-text scores."""

from .constrained import candidates_only
from .image_text_scores import image_text_scores
from .ranking import ContentFree, RankedAnswers, grey_features, rank

__all__ = ["ContentFree", "RankedAnswers", "candidates_only", "grey_features", "image_text_scores", "rank"]
