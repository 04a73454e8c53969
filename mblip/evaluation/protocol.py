"""How benchmarks are asked: two protocols whose numbers are never put into one table, and the choices beside them.

`paper` is mBLIP's own evaluation (gregor-ge/mBLIP, commit 0380e68), `centurio` that of its successor (arXiv
2501.05122): greedy search, its own captioning prompt. The same model moves by ten points between the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from mblip.data.languages import get_language
from mblip.data.prompts import get_task

from .generation_settings import GenerationSettings
from .languages import LanguageNames, prompt_language
from .task import AS_IS

ProtocolName = Literal["paper", "centurio"]
AnswerKind = Literal["caption", "short_answer", "description"]
MissingImages = Literal["error", "skip", "unchecked"]
TemplateChoice = Literal["first", "held_out"]

OWN = "own"  # of benchmarks that no paper has, such as naming photos
HELD_OUT_TEMPLATE = "held-out wording"

# centurio: lengths are the paper's, for Centurio's own are not among the facts at hand.
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
    """How the benchmarks of an evaluation are asked.

    Args:
        protocol: prompts, decoding and lengths.
        templates: ask in every English template of mblip/data/prompts instead of the protocol's prompt, the one held
            out of training included; each is a condition of its own.
        language_names: what prompts call languages: as training did, or as the original's evaluation.
        missing_images: an image that is not there is an error before anything is asked, or its examples are skipped,
            counted and named. `unchecked` looks for none, and fails at the first one that cannot be opened.
    """

    protocol: ProtocolName = "paper"
    templates: bool = False
    language_names: LanguageNames = "trained"
    missing_images: MissingImages = "error"

    def generation(self, kind: AnswerKind) -> GenerationSettings:
        """The decoding of answers of a kind."""
        return GENERATION[self.protocol][kind]

    def prompts(self, task: str, *, paper: str, centurio: str | None = None) -> "tuple[PromptForm, ...]":
        """The ways a benchmark is asked.

        Args:
            task: of mblip/data/prompts, whose templates are taken where `templates` is on.
            paper, centurio: the protocols' prompts, with {language} and the task's inputs; None: Centurio asks as the
                paper does.
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
    """One way to ask: its answers are counted under `condition`."""

    condition: str
    text: str
    language_names: LanguageNames = "trained"

    def fill(self, language: str, **inputs: str) -> str:
        """The prompt in which `language` is asked for, with the inputs that the text names."""
        return self.text.format(language=prompt_language(language, self.language_names), **inputs)


def fixed_prompt(task: str, language: str, template: TemplateChoice = "first", **inputs: str) -> str:
    """The prompt of a task of mblip/data/prompts, in its first template (mBLIP's own, where there is one) or the one
    that training never uses: what tasks with a protocol of their own ask in.

    Raises:
        ValueError: the task or language is unknown.
    """
    templates = get_task(task)
    chosen = templates.held_out if template == "held_out" else templates.templates[0]
    return chosen.text.format(language=get_language(language).name, **inputs)
