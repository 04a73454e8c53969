"""Image-text retrieval by likelihood: find the caption of an image, and the image of a caption.

The images and captions come from a captioning task (tasks/xflickrco.py, tasks/xm3600.py). Each language is searched
on its own. The score of a pair is the likelihood of the caption given the image (image_text_scores.py). Some captions
are likely with any image. Image-to-text retrieval is therefore also reported `calibrated`: we subtract the score that
the caption has with a grey image.

We score every image of a pool with every caption: n images with k captions each cost k n^2 captions per language. (60
images of the drawn world in 12 languages are 43,200 pairs: 33 s with the quickstart's model on one thread of a busy
CPU. We have not measured this at full size.) Recall depends on n, so n is part of the task's name. We take the n
images whose ids have the lowest SHA-256. Chance recall@1 is 1/n in both directions.

Shape suffixes: I = images, C = captions, N = searches, K = entries searched.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from tqdm.auto import tqdm

from .benchmark import shows_stand_ins
from .environment import code_commit, describe_hardware, describe_model, package_versions
from .generation_settings import GenerationSettings
from .languages import prompt_language
from .likelihood.image_text_scores import image_text_scores
from .likelihood.ranking import ImageInputProcessor, grey_features
from .likelihood.read_prompts import ScoringModel
from .metrics.bootstrap import score_interval
from .metrics.retrieval import Recall, score_retrieval
from .model_inputs import EncodedImages, Fitting, encode_images, evaluating
from .predictions import Prediction
from .protocol import CAPTION_PROMPT, OWN
from .results import Results, Score, mean_scores
from .run_identity import digest_weights
from .task import EvaluationExample, EvaluationTask

DIRECTIONS = ("image to text", "image to text, calibrated", "text to image")
IMAGE_TO_TEXT, CALIBRATED, TEXT_TO_IMAGE = DIRECTIONS
MAIN = "recall@1"
NUM_SHOWN = 10  # entries of a search that its prediction keeps
NOTHING_GENERATED = GenerationSettings(max_new_tokens=0)


@dataclass(frozen=True)
class RetrievalSettings:
    """The size of a search: `num_candidates` images with all their captions, in each language. `batch_size` counts
    captions, `image_batch_size` images in the ViT."""

    num_candidates: int = 100
    batch_size: int = 64
    image_batch_size: int = 64


@dataclass(frozen=True)
class Pool:
    """The images searched in one language, one example each, with all their captions."""

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
    """The searches of one direction. `scores` (N, K) holds one row per search and one column per entry."""

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

    Each direction is a condition. The main figure is recall@1. The other figures are recall@5, recall@10 and the
    median rank of the first right entry. Ties never count in the model's favour.

    Args:
        base: the base model of an adapter that was merged into `model`.

    Raises:
        ValueError: the task has several examples about one image, a language has fewer images than `num_candidates`,
            or an image cannot be read.
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
        means=mean_scores(scores, predictions),
        weights=digest_weights(model),
        batch_size=settings.batch_size,
        image_batch_size=settings.image_batch_size,
        files=task.files,
        marks=task.marks,
    )


def choose_pools(task: EvaluationTask, num_candidates: int) -> list[Pool]:
    """Choose, for each language, the `num_candidates` images whose ids have the lowest SHA-256.

    Raises:
        ValueError: the task has several examples about one image, or a language has fewer images.
    """
    by_language: dict[str, dict[str, EvaluationExample]] = {}
    for example in task.examples:
        photos = by_language.setdefault(example.language, {})
        if example.image_id in photos or len(example.images) != 1:
            raise ValueError(
                f"{task.name}: in {example.language!r}, {example.image_id} has more than one example, or an example "
                "shows several images. Use a captioning benchmark with one condition and one prompt template."
            )
        photos[example.image_id] = example
    return [_pool(task.name, language, photos, num_candidates) for language, photos in by_language.items()]


def _pool(task: str, language: str, photos: Mapping[str, EvaluationExample], num_candidates: int) -> Pool:
    if not 1 < num_candidates <= len(photos):
        raise ValueError(
            f"{task}: found {len(photos)} images with captions in {language!r}, but `num_candidates` is "
            f"{num_candidates}. Take 2 to {len(photos)}, or remove the language."
        )
    chosen = sorted(photos, key=lambda image_id: hashlib.sha256(image_id.encode()).digest())[:num_candidates]
    return Pool(language, tuple(photos[image_id] for image_id in chosen))


def search_pool(
    model: ScoringModel, processor: ImageInputProcessor, pool: Pool, images: EncodedImages, batch_size: int
) -> tuple[Search, Search, Search]:
    """Search a pool in the three directions."""
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
    """The best entry of each search. The score is 1 if it is right; a tied entry counts as wrong."""
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
    """Recall in one direction, with a 95 % interval over images."""
    figures = {f"recall@{k}": share for k, share in search.recall.at.items()}
    hits = [place == 1 for place in search.recall.places]
    photos = [prediction.image_id for prediction in found]
    return Score(
        condition=search.condition,
        language=found[0].language,
        num_prompts=len(found),
        num_images=len(set(photos)),
        num_empty=0,
        num_cut=0,
        value=figures[MAIN],
        interval=score_interval(hits, photos, is_share=True),
        figures=figures | {"median_place": search.recall.median_place, "chance": 1 / num_photos},
    )


def _prompt(language: str) -> str:
    return CAPTION_PROMPT.format(language=prompt_language(language))
