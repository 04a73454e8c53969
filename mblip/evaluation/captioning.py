"""Prompts, decoding and metric of the captioning benchmarks.

The benchmarks (tasks/xm3600.py, tasks/xflickrco.py, tasks/coco_karpathy.py) differ only in how they read their files.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mblip.data.images import Image
from mblip.data.skipped import SkipReport, has_usable_texts

from .benchmark import ask, benchmark_task
from .metrics.caption_scores import score_captions
from .metrics.caption_tokens import Tokenization
from .metrics.chrf import chrf
from .metrics.figure_sums import ratio
from .metrics.language_fidelity import find_language, is_identifiable, language_fidelity
from .metrics.segmentation import load_segmenter
from .protocol import PromptForm, Rules, Setup
from .read_files import ReadFiles
from .task import EvaluationExample, EvaluationTask, Origin, Scored

WITHOUT_CAPTION = "photo without a caption in the language"
CIDER = "CIDEr-D"
HIGHEST_CIDER = 10.0
PYCOCOEVALCAP = "as in pycocoevalcap"
PANGEA = "as in Pangea's XM100, with the first reference alone and without segmentation"
# The figures that can be the main one: their means over images are the figures themselves.
FIGURES = {
    CIDER: PYCOCOEVALCAP,
    "CIDEr-D_centurio": "as in Centurio, without text in brackets",
    "CIDEr-D_pangea": PANGEA,
    "ROUGE-L": PYCOCOEVALCAP,
    "ROUGE-L_pangea": PANGEA,
}
IN_BRACKETS = re.compile(r"\[.*?\]")  # Centurio's src/tasks/vllm/evaluation.py, caption_evaluation


def captioning_task(
    name: str,
    examples: Iterable[EvaluationExample],
    *,
    setup: Setup,
    tokenization: Tokenization,
    origin: Origin,
    skipped: SkipReport,
    files: ReadFiles | None = None,
    rules: Rules | None = None,
    changes: tuple[str, ...] = (),
) -> EvaluationTask:
    """The task of captioning every image in each of the languages of its captions.

    Args:
        tokenization: `ptb` in every protocol.
        rules: of the protocol, from `Setup.rules`; None for a benchmark of your own.
        changes: what else differs from the protocol.

    Raises:
        ValueError: there are no images, or images are missing and `Setup.missing_images` is "error".
        ImportError: a library that the metric needs is not installed.
    """
    examples = list(examples)
    languages = tuple(dict.fromkeys(example.language for example in examples))
    return benchmark_task(
        name,
        examples,
        metric=CaptionMetric(languages, tokenization, rules.main if rules else CIDER),
        setup=setup,
        kind=rules or "caption",
        origin=origin,
        skipped=skipped,
        files=files,
        changes=changes if tokenization == "ptb" else (*changes, f"tokenization: {tokenization}"),
    )


def caption_prompts(setup: Setup) -> tuple[PromptForm, ...]:
    """The prompts that ask for a caption, as the protocol asks for those of XM3600."""
    return setup.prompts_of(setup.rules("xm3600"))


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
    """Yield one example per prompt. References are the usable captions. An image without any is skipped.
    `skipped` counts and names skipped captions and images."""
    name = f"{benchmark}/{id}"
    usable = tuple(
        caption.strip()
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
    """CIDEr-D (the main figure), BLEU-1 to BLEU-4, ROUGE-L, chrF, language fidelity and the length of captions.

    CIDEr-D and BLEU depend on the whole set of images, so you cannot compare figures of different sets. An empty
    caption scores 0 in all of them, is in no language, and counts in `share_empty`. (In ROUGE-L it scores 1 if a
    reference has no words either, as in the reference implementation.) `share_near_language` is the share of captions
    in a near language: one that human captions in the requested language are often mistaken for. An added language
    that py3langid does not know has neither figure.

    Args:
        languages: the languages of the captions. Their segmenters are loaded at once, so that a missing library is an
            error before the model runs.
        tokenization: see metrics/caption_tokens.py. It changes the figures.
        main: the main figure, one of `FIGURES`. Pangea's are computed only if the main figure is one of them.

    Raises:
        ValueError: the main figure is unknown.
        ImportError: a library is not installed; the message has the command to install it.
    """

    languages: tuple[str, ...]
    tokenization: Tokenization = "ptb"
    main: str = CIDER
    is_share: bool = False
    greater_is_better: bool = True

    def __post_init__(self) -> None:
        if self.main not in FIGURES:
            raise ValueError(f"Found `main: {self.main}`, expected one of {', '.join(FIGURES)}.")
        self._segmenters()
        chrf(["a"], [["a"]])
        find_language("a")

    @property
    def description(self) -> str:
        segmenters = {} if FIGURES[self.main] is PANGEA else self._segmenters()
        parts = ["PTB tokens", *(f"{code}: {name}" for code, name in segmenters.items())]
        if self.tokenization == "segmented":
            parts.append("segmented before")
        return f"{_family(self.main)} {FIGURES[self.main]} ({'; '.join(parts)})"

    @property
    def others(self) -> Mapping[str, str]:
        return {
            name: f"{_family(name)} {whose}"
            for name, whose in FIGURES.items()
            if _family(name) == _family(self.main) and name != self.main and whose is not PANGEA
        }

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        language, tokenization = examples[0].language, self.tokenization
        references = [example.references for example in examples]
        scores = score_captions(outputs, references, language=language, tokenization=tokenization).scores
        found = {CIDER: scores[CIDER], "CIDEr-D_centurio": scores[CIDER]} | dict(scores)
        if any("[" in output for output in outputs):
            found["CIDEr-D_centurio"] = score_captions(
                outputs, references, language=language, tokenization=tokenization, ignored=IN_BRACKETS
            ).scores[CIDER]
        if FIGURES[self.main] is PANGEA:
            first = [group[:1] for group in references]
            theirs = score_captions(outputs, first, language=language, tokenization="segmented").scores
            found |= {name: theirs[_family(name)] for name, whose in FIGURES.items() if whose is PANGEA}
        found["chrF"] = chrf(outputs, references)
        sums = {name: score.sums for name, score in found.items()}
        if is_identifiable(language):
            fidelity = language_fidelity(outputs, language)
            sums["language_fidelity"] = ratio(fidelity.is_right)
            sums["share_near_language"] = ratio(fidelity.is_near)
        sums |= {
            "share_empty": ratio([not output.strip() for output in outputs]),
            "mean_characters": ratio([len(unicodedata.normalize("NFC", output)) for output in outputs]),
        }
        scored = Scored.of_sums(self.main, sums, {name: score.overall for name, score in found.items()})
        return replace(scored, highest=HIGHEST_CIDER) if _family(self.main) == CIDER else scored

    def _segmenters(self) -> dict[str, str]:
        """Language -> the name of its segmenter, for languages without spaces between words."""
        if self.tokenization == "segmented":
            return {}
        by_character = self.tokenization == "characters"
        loaded = {code: load_segmenter(code, by_character=by_character) for code in self.languages}
        return {code: segmenter.name for code, segmenter in loaded.items() if segmenter is not None}


def _family(figure: str) -> str:
    """The name of a figure without the harness."""
    return figure.partition("_")[0]
