"""Scores how well captions in any language fit images, for retrieval.

The score is the log-likelihood per token of a caption after `Caption in {Language}: `. The mean over tokens does not
penalise long captions. Some captions are likely whatever the image shows. `less_content_free` subtracts the score that
each caption has with a grey image. This helps to find the caption of an image. It cannot change which image fits a
caption best, because it subtracts the same number for all images.

You encode every image once; the language model reads it once per language.

Shape suffixes: I = images, C = captions.
"""

from collections.abc import Iterator, Sequence

import torch

from ..languages import prompt_language
from ..model_inputs import evaluating
from ..protocol import CAPTION_PROMPT
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
        model: an `MBlipForConditionalGeneration`, or a PEFT model around it. Its training mode is restored.
        image_features: (I, Q, D), `get_image_features(pixel_values).pooler_output`.
        languages: the code of the captions' language, or one code per caption.
        pairs: for each image, the positions of the captions to score; None: all captions. With millions of pairs, let
            a faster model preselect them.
        less_content_free: subtract each caption's score with a grey image.
        batch_size: see `rank`.

    Raises:
        ValueError: the numbers of languages and captions, or of pairs and images, differ; a language is unknown; or a
            caption is blank.
    """
    codes = [languages] * len(captions) if isinstance(languages, str) else list(languages)
    each = [range(len(captions))] * len(image_features) if pairs is None else list(pairs)
    if len(codes) != len(captions) or len(each) != len(image_features):
        raise ValueError(
            f"Found {len(captions)} captions with {len(codes)} languages, and {len(image_features)} images with "
            f"{len(each)} lists of pairs. Give one language per caption and one list of pairs per image."
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
    """The positions of captions, grouped by language."""
    for language in dict.fromkeys(codes[i] for i in positions):
        yield language, [i for i in positions if codes[i] == language]


def _candidate_prompt(captions: Sequence[str], language: str, positions: Sequence[int], image: int) -> CandidatePrompt:
    prompt = CAPTION_PROMPT.format(language=prompt_language(language))
    return CandidatePrompt(prompt, tuple(captions[i] for i in positions), (image,))
