"""Prompts and decoding of the benchmarks: two protocols and other choices.

`paper` is mBLIP's own evaluation (gregor-ge/mBLIP, commit 0380e68). `centurio` is the evaluation of its successor
(arXiv 2501.05122), with greedy decoding and another captioning prompt. The same model differs by ten points between
them, so their figures never share a table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from mblip.data.languages import get_language
from mblip.data.prompts import get_task

from .generation_settings import GenerationSettings
from .languages import LanguageNames, prompt_language
from .task import AS_IS, check_choice

ProtocolName = Literal["paper", "centurio"]
AnswerKind = Literal["caption", "short_answer", "description"]
MissingImages = Literal["error", "skip", "unchecked"]
TemplateChoice = Literal["first", "held_out"]

OWN = "own"  # the protocol of benchmarks that no paper has, such as naming photos
HELD_OUT_TEMPLATE = "held-out wording"

# centurio: maximum lengths are the paper's. We do not know Centurio's.
GENERATION: Mapping[ProtocolName, Mapping[AnswerKind, GenerationSettings]] = MappingProxyType(
    {
        "paper": MappingProxyType(
            {
                "caption": GenerationSettings(50, num_beams=5, min_new_tokens=1),
                "short_answer": GenerationSettings(10, num_beams=5, length_penalty=-1.0, min_new_tokens=1),
                "description": GenerationSettings(256, num_beams=5, repetition_penalty=1.5, min_new_tokens=1),
            }
        ),
        "centurio": MappingProxyType(
            {
                "caption": GenerationSettings(max_new_tokens=50),
                "short_answer": GenerationSettings(max_new_tokens=10),
                "description": GenerationSettings(max_new_tokens=256),
            }
        ),
    }
)


@dataclass(frozen=True)
class Setup:
    """How an evaluation asks its benchmarks.

    Args:
        protocol: prompts, decoding and maximum lengths.
        templates: ask with every English template of mblip/data/prompts instead of the protocol's prompt, including
            the template held out of training. Each template is a condition.
        language_names: name languages in prompts as training did, or as the original evaluation did.
        missing_images: `error`: a missing image is an error before the model runs. `skip`: its examples are skipped,
            counted and named. `unchecked`: no check; the first image that does not open is an error.
    """

    protocol: ProtocolName = "paper"
    templates: bool = False
    language_names: LanguageNames = "trained"
    missing_images: MissingImages = "error"

    def __post_init__(self) -> None:
        check_choice("protocol", self.protocol, ProtocolName)
        check_choice("language_names", self.language_names, LanguageNames)
        check_choice("missing_images", self.missing_images, MissingImages)

    def generation(self, kind: AnswerKind) -> GenerationSettings:
        """The decoding of this kind of answers."""
        return GENERATION[self.protocol][kind]

    def prompts(self, task: str, *, paper: str, centurio: str | None = None) -> "tuple[PromptForm, ...]":
        """The prompts of a benchmark.

        Args:
            task: the task of mblip/data/prompts whose templates `templates` uses.
            paper, centurio: the protocols' prompts, with {language} and the task's inputs. None: Centurio uses the
                paper's prompt.
        """
        if not self.templates:
            text = centurio if self.protocol == "centurio" and centurio is not None else paper
            return (PromptForm(AS_IS, text, self.language_names),)
        templates = get_task(task)
        forms = [
            PromptForm(f"wording {number}", template.text, self.language_names)
            for number, template in enumerate(templates.templates, start=1)
        ]
        return (*forms, PromptForm(HELD_OUT_TEMPLATE, templates.held_out.text, self.language_names))


@dataclass(frozen=True)
class PromptForm:
    """A prompt template. Its answers are counted under `condition`."""

    condition: str
    text: str
    language_names: LanguageNames = "trained"

    def fill(self, language: str, **inputs: str) -> str:
        """The prompt that asks for `language`, with its inputs inserted."""
        return self.text.format(language=prompt_language(language, self.language_names), **inputs)


def fixed_prompt(task: str, language: str, template: TemplateChoice = "first", **inputs: str) -> str:
    """The prompt of a task of mblip/data/prompts, for benchmarks with their own protocol.

    Args:
        template: `first` (mBLIP's own template, if it has one), or the one that is `held_out` of training.

    Raises:
        ValueError: the task, language or template is unknown.
    """
    check_choice("template", template, TemplateChoice)
    templates = get_task(task)
    chosen = templates.held_out if template == "held_out" else templates.templates[0]
    return chosen.text.format(language=get_language(language).name, **inputs)
