"""How well captions in any language fit images: the likelihood of a caption behind the image, for retrieval.

The score is the log-likelihood per token of a caption behind `Caption in {Language}: `, so that long captions are not
at a loss. Some captions are likely whatever the image shows; `less_content_free` takes from each the score that it
has behind a grey image, which is what finding captions for an image needs. (Finding an image for a caption it cannot
change: the same is taken from all images.) Every image is encoded once by the caller, and read once for each language.

Shape suffixes: I = images, C = captions.
"""

from collections.abc import Iterator, Sequence

import torch

from ..captioning import PAPER_PROMPT
from ..languages import prompt_language
from ..model_inputs import evaluating
from .candidate_scores import CandidatePrompt, score_candidates
from .ranking import ImageInputProcessor, grey_features
from .read_prompts import ScoringModel


def image_text_scores(
    model: ScoringModel,
    processor: ImageInputProcessor,
    image_features: torch.Tensor,
    captions: Sequence[str],
    *,
    languages: str | Sequence[str] = "en",
    pairs: Sequence[Sequence[int]] | None = None,
    less_content_free: bool = False,
    batch_size: int = 64,
) -> torch.Tensor:
    """Score captions with images, (I, C) in fp64 on the CPU; -inf where a pair is not scored.

    Args:
        model: an `MBlipForConditionalGeneration`, or a PEFT model around it; its mode is restored.
        image_features: (I, Q, D), `get_image_features(pixel_values).pooler_output`.
        languages: code of the captions' language, or one for each.
        pairs: for each image the captions to score, by their position; None: all. Millions of pairs are too many:
            score what a faster model has found.
        less_content_free: take away each caption's score with a grey image.
        batch_size: as that of `rank`.

    Raises:
        ValueError: the numbers of languages and captions or of pairs and images do not agree, a language is unknown,
            or a caption says nothing.
    """
    codes = [languages] * len(captions) if isinstance(languages, str) else list(languages)
    each = [range(len(captions))] * len(image_features) if pairs is None else list(pairs)
    if len(codes) != len(captions) or len(each) != len(image_features):
        raise ValueError(
            f"Found {len(captions)} captions in {len(codes)} languages, and pairs of {len(each)} images for "
            f"{len(image_features)}, expected as many of each."
        )
    scores_IC = torch.full((len(image_features), len(captions)), float("-inf"), dtype=torch.float64)
    with evaluating(model):
        asked = [(image, *part) for image, mine in enumerate(each) for part in _by_language(mine, codes)]
        prompts = [_candidate_prompt(captions, language, mine, image) for image, language, mine in asked]
        scored = score_candidates(model, processor, prompts, image_features, batch_size=batch_size)
        for (image, _, mine), found in zip(asked, scored, strict=True):
            scores_IC[image, mine] = found.log_likelihoods / found.num_tokens
        if less_content_free:
            scores_IC -= _grey_scores(model, processor, captions, codes, batch_size)
    return scores_IC


def _grey_scores(
    model: ScoringModel,
    processor: ImageInputProcessor,
    captions: Sequence[str],
    codes: Sequence[str],
    batch_size: int,
) -> torch.Tensor:
    """The score of each caption with a grey image, (C,)."""
    scores_C = torch.zeros(len(captions), dtype=torch.float64)
    parts = list(_by_language(range(len(captions)), codes))
    prompts = [_candidate_prompt(captions, language, mine, 0) for language, mine in parts]
    scored = score_candidates(model, processor, prompts, grey_features(model, processor), batch_size=batch_size)
    for (_, mine), found in zip(parts, scored, strict=True):
        scores_C[mine] = found.log_likelihoods / found.num_tokens
    return scores_C


def _by_language(positions: Sequence[int], codes: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    """Positions of captions, by their language."""
    for language in dict.fromkeys(codes[i] for i in positions):
        yield language, [i for i in positions if codes[i] == language]


def _candidate_prompt(captions: Sequence[str], language: str, positions: Sequence[int], image: int) -> CandidatePrompt:
    prompt = PAPER_PROMPT.format(language=prompt_language(language))
    return CandidatePrompt(prompt, tuple(captions[i] for i in positions), (image,))
