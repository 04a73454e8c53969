"""Captioning benchmarks: images with human captions, how they are asked about, and the metric of captions.

The benchmarks differ in their files (tasks/xm3600.py, tasks/xflickrco.py, tasks/coco_karpathy.py) and in nothing else:
prompts, decoding and metric are here.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mblip.data.images import Image
from mblip.data.skipped import SkipReport, has_usable_texts

from .benchmark import ask, benchmark_task
from .metrics.caption_scores import score_captions
from .metrics.caption_tokens import Tokenization
from .metrics.chrf import chrf
from .metrics.language_fidelity import find_language, language_fidelity
from .metrics.segmentation import load_segmenter
from .protocol import PromptForm, Setup
from .task import EvaluationExample, EvaluationTask, Origin, Scored

TASK = "captioning"  # of mblip/data/prompts
PAPER_PROMPT = "Caption in {language}: "
CENTURIO_PROMPT = "Briefly describe the image in {language} in one sentence."
WITHOUT_CAPTION = "photo without a caption in the language"
CIDER = "CIDEr-D"


def captioning_task(
    name: str,
    examples: Iterable[EvaluationExample],
    *,
    setup: Setup,
    tokenization: Tokenization,
    origin: Origin,
    skipped: SkipReport,
) -> EvaluationTask:
    """The task of captioning every image in every language that it has captions in.

    Raises:
        ValueError: there is no image, or images are missing that may not be.
        ImportError: a library that the metric needs is not installed.
    """
    examples = list(examples)
    languages = tuple(dict.fromkeys(example.language for example in examples))
    return benchmark_task(
        name,
        examples,
        metric=CaptionMetric(languages, tokenization),
        setup=setup,
        kind="caption",
        origin=origin,
        skipped=skipped,
    )


def caption_prompts(setup: Setup) -> tuple[PromptForm, ...]:
    """The prompts that captions are asked for in."""
    return setup.prompts(TASK, paper=PAPER_PROMPT, centurio=CENTURIO_PROMPT)


def ask_for_caption(
    prompts: Sequence[PromptForm],
    image: Image,
    captions: Sequence[str],
    *,
    image_id: str,
    language: str,
    id: str,
    benchmark: str,
    skipped: SkipReport,
) -> Iterator[EvaluationExample]:
    """An image in each prompt; references are those of its captions that can be used, in NFC. An image without any is
    not asked about. What is skipped is counted and named."""
    name = f"{benchmark}/{id}"
    usable = tuple(
        unicodedata.normalize("NFC", caption.strip())
        for number, caption in enumerate(captions)
        if has_usable_texts([caption], name=f"{name}/{number}", skipped=skipped)
    )
    if not usable:
        skipped.add(WITHOUT_CAPTION, name)
        return
    yield from ask(
        prompts,
        images=(image,),
        image_id=image_id,
        references=usable,
        language=language,
        id=id,
        answer_language=language,
    )


@dataclass(frozen=True)
class CaptionMetric:
    """CIDEr-D, and beside it BLEU-1 to BLEU-4, ROUGE-L and chrF, language fidelity and the length of the captions.

    CIDEr-D and BLEU depend on the set of images that is scored, so figures of different sets are not comparable. An
    empty caption has 0 in all of them (in ROUGE-L 1 where a reference has no words either, as in the reference
    implementation), is in no language, and is counted in `share_empty`. `share_near_language` of the captions are in
    a language that human captions in the one asked for are taken for, too.

    Args:
        languages: of the captions. What tells their words apart is loaded at once: a library that is not installed
            is told of before a model is asked, and not after.
        tokenization: see metrics/caption_tokens.py; another one gives other figures.

    Raises:
        ImportError: a library is not installed; the message has the command.
    """

    languages: tuple[str, ...]
    tokenization: Tokenization = "ptb"
    main: str = CIDER
    is_share: bool = False
    greater_is_better: bool = True

    def __post_init__(self) -> None:
        self._segmenters()
        chrf(["a"], [["a"]])
        find_language("a")

    @property
    def description(self) -> str:
        parts = ["PTB tokens", *(f"{code}: {name}" for code, name in self._segmenters().items())]
        if self.tokenization == "segmented":
            parts.append("segmented before")
        return f"{CIDER} as in pycocoevalcap ({'; '.join(parts)})"

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        language = examples[0].language
        references = [example.references for example in examples]
        scores = score_captions(outputs, references, language=language, tokenization=self.tokenization)
        fidelity = language_fidelity(outputs, language)
        figures = dict(scores.overall) | {
            "chrF": chrf(outputs, references).overall,
            "language_fidelity": fidelity.share,
            "share_near_language": fidelity.num_near / len(outputs),
            "share_empty": fidelity.num_empty / len(outputs),
            "mean_characters": sum(len(unicodedata.normalize("NFC", output)) for output in outputs) / len(outputs),
        }
        return Scored(figures, scores.per_image[CIDER])

    def _segmenters(self) -> dict[str, str]:
        """Language -> by what its words are told apart, where there are no spaces between them."""
        if self.tokenization == "segmented":
            return {}
        by_character = self.tokenization == "characters"
        loaded = {code: load_segmenter(code, by_character=by_character) for code in self.languages}
        return {code: segmenter.name for code, segmenter in loaded.items() if segmenter is not None}
