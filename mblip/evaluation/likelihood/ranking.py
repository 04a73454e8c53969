"""Ranks candidate answers by their likelihood, given images and prompt.

The log-likelihood of a candidate runs over the tokens that training would learn, the end-of-sequence token included.
There are three scores:

- `sum`: the sum over the tokens. It is the negative of the summed loss of `model(..., labels=...)`.
- `mean`: the mean per token. It does not penalise long answers.
- `calibrated`: the sum, minus the sum that the candidate has after an input without content.

The model reads image and prompt once for all candidates. Models whose cache cannot be split by prompt are scored
without the cache, with the same result (read_prompts.py).

    images = model.get_image_features(pixel_values).pooler_output
    ranked = rank(model, processor, ["Is there a dog? Answer:"], ["yes", "no"], image_features=images)
    ranked[0].best

A language model prefers some answers whatever the question is ("yes" over "maybe"). The content-free input of
`calibrated` is the same template without content: "N/A" for the hypothesis, a grey image for the photo. This is PMI_DC
of Holtzman et al. (2021, "Surface Form Competition", arXiv 2104.08315). The contextual calibration of Zhao et al.
(2021, "Calibrate Before Use", arXiv 2102.09690) divides the candidates' probabilities by those of a content-free input
and chooses the same candidate.

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
    """What ranking needs of `MBlipProcessor` beyond prompts."""

    image_processor: Any


@dataclass(frozen=True, eq=False)
class ContentFree:
    """Content-free inputs that calibrate prompts.

    Args:
        prompts: for each prompt, its template without content. Equal inputs are scored once.
        image_features: (I, Q, D), such as `grey_features`; None: no images.
        image_rows: for each prompt, the rows of `image_features` for its images. None: row 0 for every image of the
            prompt that it calibrates.
    """

    prompts: Sequence[str]
    image_features: torch.Tensor | None = None
    image_rows: Sequence[Sequence[int]] | None = None


@dataclass(frozen=True, eq=False)
class RankedAnswers:
    """The candidates of one prompt.

    Args:
        candidates: in the order given.
        log_likelihoods: (C,), summed over the tokens of each candidate, in fp64 on the CPU.
        num_tokens: (C,), the end-of-sequence token included.
        scores: (C,), by the `scoring` that you asked for: sums, means per token, or calibrated sums.
    """

    candidates: tuple[str, ...]
    log_likelihoods: torch.Tensor
    num_tokens: torch.Tensor
    scores: torch.Tensor

    @property
    def best(self) -> str:
        """The candidate with the highest score; the first one if several are equal."""
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
        model: an `MBlipForConditionalGeneration`, or a PEFT model around it. Its training mode is restored.
        candidates: one list for all prompts, or one list per prompt.
        image_features: (I, Q, D), `get_image_features(pixel_values).pooler_output` of every distinct image.
        image_rows: for each prompt, the rows of `image_features` for its images: none, one or several. Prompts may
            share rows, and rows may be unused (`EncodedImages.rows`). None: prompt p shows row p; without
            `image_features` no prompt shows an image.
        content_free: the inputs of `calibrated` scores, one per prompt.
        batch_size: the most prompts to read at once, and the most candidates to run at once.

    Raises:
        ValueError: the numbers of prompts, candidates and images differ; a string was passed in place of a list; a
            candidate is blank; `scoring` is unknown; `content_free` does not fit `scoring`; a log-likelihood is NaN;
            or `forward_to_head` does not know the language model's head.
    """
    if scoring not in get_args(RankBy):
        raise ValueError(f'Found scoring="{scoring}", expected one of {", ".join(get_args(RankBy))}.')
    if (content_free is not None) != (scoring == "calibrated"):
        found = "Found" if content_free is not None else "Found no"
        raise ValueError(
            f'{found} `content_free` with scoring="{scoring}". Give both `scoring="calibrated"` and `content_free`, '
            "or neither."
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
    """Prompts with the candidates and images of each. See `rank` for arguments and errors."""
    for name, texts in (("prompts", prompts), ("candidates", candidates)):
        if isinstance(texts, str):
            raise ValueError(f"`{name}` is the string {texts!r}, expected a list of strings. Put it into a list.")
    if image_rows is None:
        image_rows = (
            [() for _ in prompts] if image_features is None else [(row,) for row in range(len(image_features))]
        )
    each = candidates_of_each(candidates, len(prompts))
    if not len(prompts) == len(each) == len(image_rows):
        raise ValueError(
            f"Found {len(prompts)} prompts, {len(each)} lists of candidates and {len(image_rows)} of image rows, "
            "expected equal numbers. Give `image_rows` unless every prompt shows one image."
        )
    num_rows = 0 if image_features is None else len(image_features)
    if foreign := [row for rows in image_rows for row in rows if not 0 <= row < num_rows]:
        raise ValueError(f"`image_rows` names row {foreign[0]}, but `image_features` has {num_rows}. Count from 0.")
    return [
        CandidatePrompt(prompt, mine, tuple(rows))
        for prompt, mine, rows in zip(prompts, each, image_rows, strict=True)
    ]


def candidates_of_each(candidates: Sequence[str] | Sequence[Sequence[str]], num_prompts: int) -> list[tuple[str, ...]]:
    """The candidates of each prompt. One list may serve all prompts."""
    texts = tuple(candidate for candidate in candidates if isinstance(candidate, str))
    if texts and len(texts) < len(candidates):
        raise ValueError(
            f"Found {len(texts)} strings and {len(candidates) - len(texts)} lists as candidates. Give one list of "
            "strings for all prompts, or one list of strings per prompt."
        )
    return [texts] * num_prompts if texts else [tuple(mine) for mine in candidates]


def _priors(
    model: ScoringModel,
    processor: Processor,
    asked: Sequence[CandidatePrompt],
    content_free: ContentFree,
    batch_size: int,
) -> list[torch.Tensor]:
    """The log-likelihoods of each prompt's candidates after its content-free input. Equal inputs are scored once."""
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
    """An image of the processor's mean colour, which normalisation maps to (nearly) zero. Grey if it names none."""
    mean = getattr(processor.image_processor, "image_mean", None) or (0.5, 0.5, 0.5)
    red, green, blue = (round(255 * channel) for channel in mean)
    return Image.new("RGB", (64, 64), (red, green, blue))


@torch.no_grad()
def grey_features(model: Model, processor: ImageInputProcessor) -> torch.Tensor:
    """The features of the grey image, (1, Q, D)."""
    pixel_values = processor(images=[grey_image(processor)], return_tensors="pt")["pixel_values"]
    return model.get_image_features(pixel_values.to(model.device)).pooler_output
