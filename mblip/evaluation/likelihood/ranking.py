"""Answers by likelihood: of given candidates the one that the model holds the most likely behind image and prompt.

A score is the log-likelihood of the candidate as training would have it learned: all its tokens, its end included. So
a sum is what `model(..., labels=...)` loses on it; `mean` is per token, so that long answers are not at a loss;
`calibrated` is the sum less that behind an input without content. All candidates are scored from one
encoding of image and prompt. Families whose cache cannot be shared out are scored by whole forwards (read_prompts.py),
to the same numbers.

    images = model.get_image_features(pixel_values).pooler_output
    ranked = rank(model, processor, ["Is there a dog? Answer:"], ["yes", "no"], image_features=images)
    ranked[0].best

A language model likes some answers whatever it is asked ("yes" more than "maybe"). Calibrated scores take from a
candidate's log-likelihood the one it has behind the same template without content: "N/A" in place of the hypothesis, a
grey image in place of the photo. That is PMI_DC of Holtzman et al. (2021, "Surface Form Competition", arXiv
2104.08315); contextual calibration of Zhao et al. (2021, "Calibrate Before Use", arXiv 2102.09690), who divide the
candidates' probabilities by those of a content-free input, chooses the same candidate.

Shape suffixes: C = candidates of one prompt, I = distinct images, Q = query tokens per image, D = width of the
language model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, get_args

import torch
from PIL import Image

from ..model_inputs import Model, Processor, evaluating
from ..task import RankBy
from .candidate_scores import CandidatePrompt, CandidateScores, score_candidates
from .read_prompts import ScoringModel


class ImageInputProcessor(Processor, Protocol):
    """What is asked of `MBlipProcessor` beside prompts."""

    image_processor: Any


@dataclass(frozen=True, eq=False)
class ContentFree:
    """The inputs that calibrate prompts.

    Args:
        prompts: for each prompt its template without content; equal ones are asked once.
        image_features: (I, Q, D), such as `grey_features`; None: no images.
        image_rows: for each prompt the rows of `image_features` that it shows; None: row 0 as often as the prompt that
            it calibrates shows images.
    """

    prompts: Sequence[str]
    image_features: torch.Tensor | None = None
    image_rows: Sequence[Sequence[int]] | None = None


@dataclass(frozen=True, eq=False)
class RankedAnswers:
    """The candidates of one prompt.

    Args:
        candidates: as they came in.
        log_likelihoods: of each, the sum over its tokens, (candidates,) in fp64 on the CPU.
        num_tokens: of each, its end included, (candidates,).
        scores: what was asked for: the sums, the means per token, or the calibrated sums, (candidates,).
    """

    candidates: tuple[str, ...]
    log_likelihoods: torch.Tensor
    num_tokens: torch.Tensor
    scores: torch.Tensor

    @property
    def best(self) -> str:
        """The candidate of the highest score; of equal ones the first."""
        return self.candidates[int(self.scores.argmax())]


def rank(
    model: ScoringModel,
    processor: Processor,
    prompts: Sequence[str],
    candidates: Sequence[str] | Sequence[Sequence[str]],
    *,
    image_features: torch.Tensor | None = None,
    image_rows: Sequence[Sequence[int]] | None = None,
    scoring: RankBy = "sum",
    content_free: ContentFree | None = None,
    batch_size: int = 64,
) -> list[RankedAnswers]:
    """Score the candidates of each prompt.

    Args:
        model: an `MBlipForConditionalGeneration`, or a PEFT model around it; its mode is restored.
        candidates: one list for all prompts, or one for each.
        image_features: (I, Q, D), `get_image_features(pixel_values).pooler_output` of every distinct image.
        image_rows: for each prompt the rows of `image_features` that it shows, none, one or several; a row may be
            shown by many prompts or none (`EncodedImages.rows`). None: prompt p shows row p, or without features none.
        content_free: the inputs of `calibrated` scores, one for each prompt.
        batch_size: at most so many prompts are read at once, and so many candidates run.

    Raises:
        ValueError: the numbers of prompts, candidates and images do not agree, one text came in place of a list, a
            candidate says nothing, nobody knows the scoring, the content-free inputs are missing, the model gives
            NaN, or the language model's head is not known (`forward_to_head`).
    """
    if scoring not in get_args(RankBy):
        raise ValueError(f'Found scoring="{scoring}", expected one of {", ".join(get_args(RankBy))}.')
    if (content_free is not None) != (scoring == "calibrated"):
        found = "came" if content_free is not None else "came not"
        raise ValueError(
            f'`content_free` {found} with scoring="{scoring}": it is what calibrates. Give both '
            '`scoring="calibrated"` and `content_free`, or neither.'
        )
    asked = candidate_prompts(prompts, candidates, image_rows, image_features)
    with evaluating(model):
        scored = score_candidates(model, processor, asked, image_features, batch_size=batch_size)
        priors = (
            [None] * len(scored)
            if content_free is None
            else _priors(model, processor, asked, content_free, batch_size)
        )
    return [_ranked(*each, scoring) for each in zip(asked, scored, priors, strict=True)]


def candidate_prompts(
    prompts: Sequence[str],
    candidates: Sequence[str] | Sequence[Sequence[str]],
    image_rows: Sequence[Sequence[int]] | None,
    image_features: torch.Tensor | None,
) -> list[CandidatePrompt]:
    """Prompts with the candidates and images of each; arguments and errors as those of `rank`."""
    for name, texts in (("prompts", prompts), ("candidates", candidates)):
        if isinstance(texts, str):
            raise ValueError(f"`{name}` is the text {texts!r}, expected a list of texts. Put it into one.")
    if image_rows is None:
        image_rows = (
            [() for _ in prompts] if image_features is None else [(row,) for row in range(len(image_features))]
        )
    each = candidates_of_each(candidates, len(prompts))
    if not len(prompts) == len(each) == len(image_rows):
        raise ValueError(
            f"Found {len(prompts)} prompts, candidates of {len(each)} and images of {len(image_rows)}, expected as "
            "many of each. Give one list of candidates for all prompts or one list for each, and `image_rows` where "
            "prompts do not show one image each."
        )
    num_rows = 0 if image_features is None else len(image_features)
    if foreign := [row for rows in image_rows for row in rows if not 0 <= row < num_rows]:
        raise ValueError(f"`image_rows` names row {foreign[0]}, but `image_features` has {num_rows}. Count from 0.")
    return [
        CandidatePrompt(prompt, mine, tuple(rows))
        for prompt, mine, rows in zip(prompts, each, image_rows, strict=True)
    ]


def candidates_of_each(candidates: Sequence[str] | Sequence[Sequence[str]], num_prompts: int) -> list[tuple[str, ...]]:
    """The candidates of each prompt, where one list may stand for all."""
    texts = tuple(candidate for candidate in candidates if isinstance(candidate, str))
    if texts and len(texts) < len(candidates):
        raise ValueError(
            f"Found {len(texts)} texts and {len(candidates) - len(texts)} lists as candidates. Give texts, the "
            "candidates of all prompts, or a list of texts for each prompt."
        )
    return [texts] * num_prompts if texts else [tuple(mine) for mine in candidates]


def _priors(
    model: ScoringModel,
    processor: Processor,
    asked: Sequence[CandidatePrompt],
    content_free: ContentFree,
    batch_size: int,
) -> list[torch.Tensor]:
    """The log-likelihoods of each prompt's candidates behind its content-free input; equal inputs are asked once."""
    image_rows = content_free.image_rows
    if image_rows is None:
        is_shown = content_free.image_features is not None
        image_rows = [[0] * len(each.image_rows) * is_shown for each in asked]
    candidates = [each.candidates for each in asked]
    plain = candidate_prompts(content_free.prompts, candidates, image_rows, content_free.image_features)
    distinct = list(dict.fromkeys(plain))
    scored = score_candidates(model, processor, distinct, content_free.image_features, batch_size=batch_size)
    found = dict(zip(distinct, scored, strict=True))
    return [found[each].log_likelihoods for each in plain]


def _ranked(
    asked: CandidatePrompt, scored: CandidateScores, prior_C: torch.Tensor | None, scoring: RankBy
) -> RankedAnswers:
    sums_C = scored.log_likelihoods
    scores_C = sums_C
    if prior_C is not None:
        scores_C = sums_C - prior_C
    elif scoring == "mean":
        scores_C = sums_C / scored.num_tokens
    return RankedAnswers(asked.candidates, sums_C, scored.num_tokens, scores_C)


def grey_image(processor: ImageInputProcessor) -> Image.Image:
    """An image of the colour that the processor takes for the mean of all images: it becomes (nearly) zero."""
    mean = processor.image_processor.image_mean
    red, green, blue = (round(255 * channel) for channel in mean)
    return Image.new("RGB", (64, 64), (red, green, blue))


@torch.no_grad()
def grey_features(model: Model, processor: ImageInputProcessor) -> torch.Tensor:
    """The features of the grey image, (1, Q, D)."""
    pixel_values = processor(images=[grey_image(processor)], return_tensors="pt")["pixel_values"]
    return model.get_image_features(pixel_values.to(model.device)).pooler_output
