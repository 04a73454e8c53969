"""Image-text retrieval by likelihood: the caption of an image, and the image of a caption, among those of a pool.

Images and captions are those of a captioning task (tasks/xflickrco.py, tasks/xm3600.py), one language at a time. A
caption fits an image as well as it is likely behind it (image_text_scores.py); one that is likely behind any image is
no find, so images are given their captions once more with the score behind a grey image taken away (`calibrated`).

Every image of a pool is scored with every caption of it: n images with k captions each cost k n^2 captions read, in
each language (60 images of the drawn world in 12 languages, 43,200 pairs: 33 s with the quickstart's model on one
thread of a busy CPU; not measured at full size). Recall depends on n, so a task of another n has another name. The n
images are those of the lowest SHA-256 of their ids, and chance finds one in n, in both directions.

Shape suffixes: I = images, C = captions, N = searches, K = entries searched.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from tqdm.auto import tqdm

from .benchmark import shows_stand_ins
from .captioning import PAPER_PROMPT
from .environment import code_commit, describe_hardware, describe_model, package_versions
from .generation_settings import GenerationSettings
from .languages import prompt_language
from .likelihood.image_text_scores import image_text_scores
from .likelihood.ranking import ImageInputProcessor, grey_features
from .likelihood.read_prompts import ScoringModel
from .metrics.bootstrap import mean_estimate
from .metrics.intervals import wilson_interval
from .metrics.retrieval import Recall, score_retrieval
from .model_inputs import EncodedImages, Fitting, encode_images, evaluating
from .predictions import Prediction
from .protocol import OWN
from .results import Results, Score
from .task import EvaluationExample, EvaluationTask

DIRECTIONS = ("image to text", "image to text, calibrated", "text to image")
IMAGE_TO_TEXT, CALIBRATED, TEXT_TO_IMAGE = DIRECTIONS
MAIN = "recall@1"
NUM_SHOWN = 10  # of a search, the entries that its prediction keeps
NOTHING_GENERATED = GenerationSettings(max_new_tokens=0)


@dataclass(frozen=True)
class RetrievalSettings:
    """How much is searched: `num_candidates` images with all their captions, in each language. `batch_size` counts
    captions, `image_batch_size` images in the ViT."""

    num_candidates: int = 100
    batch_size: int = 64
    image_batch_size: int = 64


@dataclass(frozen=True)
class Pool:
    """The images of one language that are searched, one example each, with all their captions."""

    language: str
    examples: Sequence[EvaluationExample]

    @property
    def captions(self) -> list[str]:
        return [caption for example in self.examples for caption in example.references]

    @property
    def image_of_caption(self) -> list[int]:
        return [image for image, example in enumerate(self.examples) for _ in example.references]


@dataclass(frozen=True)
class Search:
    """The searches of one direction: `scores` (N, K) of what is searched by with what is searched, and what came of
    it."""

    condition: str
    scores: torch.Tensor
    recall: Recall


def retrieval_results(
    model: ScoringModel,
    processor: ImageInputProcessor,
    task: EvaluationTask,
    *,
    settings: RetrievalSettings = RetrievalSettings(),
    base: str | None = None,
) -> Results:
    """Search the images and captions of a captioning task, in one process.

    The conditions are the directions; the main figure is recall@1, beside it are recall@5, recall@10 and the median
    place of the first right entry. A tie is never resolved in the model's favour.

    Args:
        base: the model below an adapter that was merged into `model`.

    Raises:
        ValueError: the task asks more than once about an image, a language has fewer images than `num_candidates`, or
            an image cannot be read.
    """
    start = time.monotonic()
    pools = choose_pools(task, settings.num_candidates)
    used = [example for pool in pools for example in pool.examples]
    with evaluating(model):
        images = encode_images(model, processor, used, batch_size=settings.image_batch_size, fitting=Fitting("images"))
    name = f"{task.name}_retrieval_{settings.num_candidates}"
    scores: list[Score] = []
    predictions: list[Prediction] = []
    for pool in tqdm(pools, desc=name, unit="language", disable=None):
        for search in search_pool(model, processor, pool, images, settings.batch_size):
            found = list(predictions_of(search, pool, name))
            scores.append(_score(search, found, len(pool.examples)))
            predictions += found
    return Results(
        task=name,
        protocol=OWN,
        metric=MAIN,
        description=f"{MAIN} among {settings.num_candidates} images with all their captions (chance finds one in "
        f"{settings.num_candidates})",
        model=describe_model(model, base),
        num_images=len({example.image_id for example in used}),
        scores=tuple(scores),
        prompts={name: {pool.language: _prompt(pool.language) for pool in pools} for name in DIRECTIONS},
        answering="likelihood per token of every pair",
        generation=NOTHING_GENERATED,
        origin=task.origin,
        left_out=dict(task.skipped.counts),
        left_out_names=dict(task.skipped.names),
        has_stand_ins=shows_stand_ins(used),
        seconds=time.monotonic() - start,
        commit=code_commit(),
        versions=package_versions(),
        hardware=describe_hardware(model.device),
        num_processes=1,
        predictions=tuple(predictions),
    )


def choose_pools(task: EvaluationTask, num_candidates: int) -> list[Pool]:
    """For each language the examples about the images whose id has the lowest SHA-256.

    Raises:
        ValueError: the task asks more than once about an image, or a language has fewer photos.
    """
    by_language: dict[str, dict[str, EvaluationExample]] = {}
    for example in task.examples:
        photos = by_language.setdefault(example.language, {})
        if example.image_id in photos or len(example.images) != 1:
            raise ValueError(
                f"{task.name} asks more than once in {example.language!r} about {example.image_id}, or about several "
                "images at once. Retrieval takes benchmarks of captions, under one condition and in one template."
            )
        photos[example.image_id] = example
    return [_pool(task.name, language, photos, num_candidates) for language, photos in by_language.items()]


def _pool(task: str, language: str, photos: Mapping[str, EvaluationExample], num_candidates: int) -> Pool:
    if not 1 < num_candidates <= len(photos):
        raise ValueError(
            f"{task}: found {len(photos)} images with captions in {language!r}, but `num_candidates` is "
            f"{num_candidates}. Take at least 2 and at most {len(photos)}, or leave the language out."
        )
    chosen = sorted(photos, key=lambda image_id: hashlib.sha256(image_id.encode()).digest())[:num_candidates]
    return Pool(language, tuple(photos[image_id] for image_id in chosen))


def search_pool(
    model: ScoringModel, processor: ImageInputProcessor, pool: Pool, images: EncodedImages, batch_size: int
) -> tuple[Search, Search, Search]:
    """The searches in a pool, in the three directions."""
    assert images.features is not None  # every example has its image
    features_IQD = images.features[[images.rows[example.image_id][0] for example in pool.examples]]

    def scores(features: torch.Tensor) -> torch.Tensor:
        return image_text_scores(
            model, processor, features, pool.captions, languages=pool.language, batch_size=batch_size
        )

    scores_IC = scores(features_IQD)
    calibrated_IC = scores_IC - scores(grey_features(model, processor))
    plain = score_retrieval(scores_IC.numpy(), pool.image_of_caption)
    calibrated = score_retrieval(calibrated_IC.numpy(), pool.image_of_caption)
    return (
        Search(IMAGE_TO_TEXT, scores_IC, plain.image_to_text),
        Search(CALIBRATED, calibrated_IC, calibrated.image_to_text),
        Search(TEXT_TO_IMAGE, scores_IC.T, plain.text_to_image),
    )


def predictions_of(search: Search, pool: Pool, task: str) -> Iterator[Prediction]:
    """What each search found first; the score says whether that is right, and no tie helps it."""
    is_of_texts = search.condition != TEXT_TO_IMAGE
    owners = range(len(pool.examples)) if is_of_texts else pool.image_of_caption
    entries = pool.captions if is_of_texts else [example.image_id for example in pool.examples]
    for number, (owner, scores_K, place) in enumerate(zip(owners, search.scores, search.recall.places, strict=True)):
        example = pool.examples[owner]
        best = scores_K.topk(min(NUM_SHOWN, len(entries)))
        yield Prediction(
            task=task,
            protocol=OWN,
            id=example.id if is_of_texts else f"{example.id}/{number}",
            condition=search.condition,
            language=pool.language,
            image_id=example.image_id,
            prompt=_prompt(pool.language) + ("" if is_of_texts else pool.captions[number]),
            output=entries[int(best.indices[0])],
            references=example.references if is_of_texts else (example.image_id,),
            is_cut=False,
            log_likelihoods={
                entries[i]: value for i, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
            },
            score=float(place == 1),
        )


def _score(search: Search, found: Sequence[Prediction], num_photos: int) -> Score:
    """Recall in one direction; its interval is that of other images drawn alike."""
    figures = {f"recall@{k}": share for k, share in search.recall.at.items()}
    hits = [place == 1 for place in search.recall.places]
    photos = [prediction.image_id for prediction in found]
    is_one_each = len(set(photos)) == len(photos)
    return Score(
        condition=search.condition,
        language=found[0].language,
        num_prompts=len(found),
        num_empty=0,
        num_cut=0,
        value=figures[MAIN],
        interval=wilson_interval(sum(hits), len(hits)) if is_one_each else mean_estimate(hits, photos).interval,
        figures=figures | {"median_place": search.recall.median_place, "chance": 1 / num_photos},
    )


def _prompt(language: str) -> str:
    return PAPER_PROMPT.format(language=prompt_language(language))
