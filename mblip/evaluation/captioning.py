"""Captioning benchmarks: from photos with human captions to the task of captioning them.

The benchmarks differ in their files (tasks/xm3600.py, tasks/xflickrco.py, tasks/coco_karpathy.py) and in nothing else:
prompts, search and metric are here.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mblip.data.images import Image
from mblip.data.left_out import LeftOut, has_usable_texts

from .benchmark import benchmark_task
from .caption_scoring import CaptionMetric
from .metrics.caption_tokens import Tokenization
from .protocol import Setup
from .task import EvaluationExample, EvaluationTask, Origin

TASK = "captioning"  # of mblip/data/prompts
PAPER_PROMPT = "Caption in {language}: "
CENTURIO_PROMPT = "Briefly describe the image in {language} in one sentence."
WITHOUT_CAPTION = "photo without a caption in the language"


@dataclass(frozen=True)
class CaptionedImage:
    """A photo with its human captions in one language; `id` is unique within the benchmark."""

    image: Image
    image_id: str
    captions: tuple[str, ...]
    language: str
    id: str


def captioning_task(
    name: str,
    captioned: Sequence[CaptionedImage],
    *,
    setup: Setup,
    tokenization: Tokenization,
    origin: Origin,
    left_out: LeftOut,
) -> EvaluationTask:
    """The task of captioning every photo in every language that it has captions in.

    Raises:
        ValueError: there is no photo, or photos are missing that may not be.
        ImportError: a library that the metric needs is not installed.
    """
    languages = tuple(dict.fromkeys(one.language for one in captioned))
    return benchmark_task(
        name,
        caption_examples(captioned, setup),
        metric=CaptionMetric(languages, tokenization),
        setup=setup,
        kind="caption",
        origin=origin,
        left_out=left_out,
    )


def caption_examples(captioned: Iterable[CaptionedImage], setup: Setup) -> Iterator[EvaluationExample]:
    """An example for each photo, language and way of asking; references are its captions, in NFC."""
    forms = setup.prompts(TASK, paper=PAPER_PROMPT, centurio=CENTURIO_PROMPT)
    for one in captioned:
        for form in forms:
            yield EvaluationExample(
                images=(one.image,),
                image_id=one.image_id,
                prompt=form.fill(one.language),
                references=tuple(unicodedata.normalize("NFC", caption) for caption in one.captions),
                language=one.language,
                condition=form.condition,
                id=one.id,
            )


def captioned_image(
    image: Image, captions: Sequence[str], *, image_id: str, language: str, id: str, benchmark: str, left_out: LeftOut
) -> Iterator[CaptionedImage]:
    """The photo with those of its captions that can be used, or nothing if there are none; what is left out is counted
    and named."""
    name = f"{benchmark}/{id}"
    usable = tuple(
        caption.strip()
        for number, caption in enumerate(captions)
        if has_usable_texts([caption], name=f"{name}/{number}", left_out=left_out)
    )
    if usable:
        yield CaptionedImage(image, image_id, usable, language, id)
    else:
        left_out.add(WITHOUT_CAPTION, name)
