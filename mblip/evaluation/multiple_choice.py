"""Multiple choice: a question with 2 to 26 options that are texts. Options that are images are not supported.

By letter, the prompt lists "A. red" where it says `{options}`, and the answer is a letter. By text, it lists the texts
alone, or nothing, and the answer is one of them. A task with `answering="rank"` or `constrained` chooses among either.

We read "B", "b.", "(B)", "【Ｂ】", "B) red", the text of an option, and "B. " before an explanation without a second
letter, each also after a few words with a colon; and a sentence with a word for "answer", one letter and no negation:
"La respuesta correcta es B." Everything else is invalid: wrong, and counted. We never guess: "A dog", "A or B",
"B) green" where green is C, or a letter of another script, whose second letter need not be the second option. How
others read:

- lmms-eval's MMMU and Pangea's CVQA and M3Exam search for a letter anywhere, and draw an option if there is none.
  Kaleidoscope wants JSON, takes ب or Б for B, and has a share of invalid answers.
- VLMEvalKit's `can_infer` wants one letter among the words, or one option whose text is in the answer; otherwise a
  language model reads it. Its CircularEval wants every rotation right: `circular_accuracy` here.
- For Centurio and FOCI, an answer that begins with the right letter is right, for Centurio also one that ends with
  it. So "a cat" is A: `accuracy_centurio` here.
"""

import re
import string
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from mblip.data.images import Image
from mblip.data.languages import ENGLISH
from mblip.data.stable_random import stable_random

from .answer_scoring import ACCURACY
from .benchmark import ask
from .metrics.answers import is_empty
from .metrics.figure_sums import ratio
from .protocol import PromptForm
from .task import EvaluationExample, Scored, check_choice

AnswerBy = Literal["letter", "text"]
OptionOrder = Literal["as_given", "shuffled", "circular"]

LETTERS = string.ascii_uppercase
ROTATION = "/rotation "  # in the id of an example whose question is asked in every rotation

_AROUND = " \n.,:;!。、।۔،\"'“”‘’«»()[]{}<>$【】「」『』《》*_\u200e\u200f"
# A capital letter on its own. Other scripts may touch it: "答えはBです".
_ALONE = r"(?<![A-Za-zÀ-ɏ0-9])[A-Z](?![A-Za-zÀ-ɏ0-9'’]|-\w)"
_NO_ARTICLE = rf"{_ALONE}(?!(?<=A) [a-z])"  # "A cat" is no A
_ANSWER = (
    "answer|option|choice|letter|boxed|respuesta|opción|réponse|antwort|antwoord|resposta|letra|alternativa|risposta|ответ|"
    "вариант|الإجابة|الجواب|उत्तर|答案|选|選|答え|正解|답|ตอบ|jibu|jawab|cevap|đáp án|trả lời|svar|"
    "vastaus|válasz|răspuns|odpowied|odpověd|відповід|απάντηση|উত্তর|விடை|תשובה|پاسخ|جواب"
)
_NOT = (
    r"\b(?:not|no|nicht|nie|pas|non|não|не|ні|si|bukan|değil|không|except|ikke|inte|ei|nem|nu|není|δεν)\b|n't|不|ليس|नहीं|"
    "ない|ません|아[니닌닙]|ไม่|নয়|இல்லை|אינה|לא|نیست"
)
_SAYS = re.compile(
    rf"(?i:{_ANSWER})(?P<before>(?:(?!(?i:{_NOT}))[^.\n])*?)(?P<letter>{_NO_ARTICLE})(?![^.!?。।\n]*(?i:{_NOT}))"
    r"(?P<rest>.*)",
    re.DOTALL,
)
_LEAD = re.compile(r"(?:the )?(?:correct )?answer is|[^:\n]{1,60}:", re.IGNORECASE)
_LETTER_FIRST = re.compile(r"(?P<letter>[A-Za-z])(?:(?P<sign>\W+|(?=です|입니다))(?P<rest>.+))?", re.DOTALL)
_SIGN_OF_A_LETTER = re.compile(r"[.:)\]】」』》*]+\s+|\s*\n\s*|")


def ask_choice(
    prompts: Sequence[PromptForm],
    *,
    options: Sequence[str],
    right: int,
    images: tuple[Image, ...],
    image_id: str,
    language: str,
    id: str,
    inputs: Mapping[str, str] = MappingProxyType({}),
    answer_language: str = ENGLISH,
    answer_by: AnswerBy = "letter",
    order: OptionOrder = "as_given",
    seed: int = 0,
) -> Iterator[EvaluationExample]:
    """Ask a multiple-choice question with every prompt, for `MultipleChoiceAccuracy`. Other arguments: see `ask`.

    Args:
        right: the position of the right option, from 0.
        order: of the options. `shuffled`: drawn by (seed, id). `circular`: one example for each of the n rotations.

    Raises:
        ValueError: an option or `right` is wrong, or a prompt lacks `{options}` although letters or the order need it.
    """
    check_choice("answer_by", answer_by, AnswerBy)
    check_choice("order", order, OptionOrder)
    _check_options(options, right, id)
    for prompt in prompts:
        if "{options}" not in prompt.text and (answer_by == "letter" or order == "circular"):
            raise ValueError(f"The prompt {prompt.text!r} does not list the options. Write {{options}} into it.")
    is_circular, positions = order == "circular", list(range(len(options)))
    if order == "shuffled":
        stable_random(seed, "options", id).shuffle(positions)
    for start in range(len(options) if is_circular else 1):
        rotated = positions[start:] + positions[:start]
        texts = tuple(options[i] for i in rotated)
        candidates = tuple(LETTERS[: len(texts)]) if answer_by == "letter" else texts
        lines = [f"{letter}. {text}" for letter, text in zip(candidates, texts, strict=True)]
        yield from ask(
            prompts,
            images=images,
            image_id=image_id,
            inputs={**inputs, "options": "\n".join(lines if answer_by == "letter" else texts)},
            references=(candidates[rotated.index(right)],),
            candidates=candidates,
            language=language,
            answer_language=answer_language,
            id=f"{id}{ROTATION}{start}" if is_circular else id,
            facts=dict(zip(LETTERS, texts, strict=False)),
        )


@dataclass(frozen=True)
class MultipleChoiceAccuracy:
    """The share of questions answered with the right option; an invalid answer is wrong.

    `chance` is the accuracy of guessing. For each position, by its letter: the share of answers that choose it
    (`share_A`), the share of questions where it is right (`share_right_A`), and the accuracy there (`recall_A`).
    """

    answer_by: AnswerBy = "letter"
    description: str = "accuracy of the chosen option"
    main: str = ACCURACY
    is_share: bool = True
    greater_is_better: bool = True

    @property
    def others(self) -> Mapping[str, str]:
        return {"accuracy_centurio": "Centurio's relaxed match"} if self.answer_by == "letter" else {}

    def score(self, examples: Sequence[EvaluationExample], outputs: Sequence[str]) -> Scored:
        options = [[e.facts[letter] for letter in LETTERS if letter in e.facts] for e in examples]
        names = [LETTERS if self.answer_by == "letter" else texts for texts in options]
        rights = [own.index(example.references[0]) for own, example in zip(names, examples, strict=True)]
        chosen = [read_choice(*pair, self.answer_by) for pair in zip(outputs, options, strict=True)]
        is_right = [choice == right for choice, right in zip(chosen, rights, strict=True)]
        sums = {
            self.main: ratio(is_right),
            "share_invalid": ratio([choice is None for choice in chosen]),
            "share_empty": ratio([is_empty(output) for output in outputs]),
        }
        if self.answer_by == "letter":
            answers = zip(outputs, (example.references[0].lower() for example in examples), strict=True)
            ends = [(text.strip().lower()[:1], text.strip().lower()[-1:], right) for text, right in answers]
            sums["accuracy_centurio"] = ratio([right in (first, last) for first, last, right in ends])
        if all(ROTATION in example.id for example in examples):
            parts = [example.id.rpartition(ROTATION) for example in examples]
            wrong = {question for (question, _, _), score in zip(parts, is_right, strict=True) if not score}
            is_first = [number == "0" for _, _, number in parts]
            sums["circular_accuracy"] = ratio(
                [n == "0" and question not in wrong for question, _, n in parts], is_first
            )
        for i, letter in enumerate(LETTERS[: max(map(len, options))]):
            is_there = [right == i for right in rights]
            sums[f"share_{letter}"] = ratio([choice == i for choice in chosen])
            sums[f"share_right_{letter}"] = ratio(is_there)
            sums[f"recall_{letter}"] = ratio([a and b for a, b in zip(is_right, is_there, strict=True)], is_there)
        return Scored.of_sums(self.main, sums, {"chance": sum(1 / len(texts) for texts in options) / len(options)})


def read_choice(answer: str, options: Sequence[str], answer_by: AnswerBy = "letter") -> int | None:
    """The position of the option that an answer chooses; None if it chooses none, or more than one."""
    text = unicodedata.normalize("NFKC", answer).strip(_AROUND)
    lead = _LEAD.match(text)
    parts = [answer, text, text[lead.end() :] if lead else ""]
    found: set[int] = next(filter(None, (_readings(part, options, answer_by) for part in parts)), set())
    if not found and answer_by == "letter" and (says := _SAYS.search(text)):
        found = _positions([says["letter"], *re.findall(_ALONE, says["before"])], options)
        found |= _named(says["rest"], options) or _positions(re.findall(_NO_ARTICLE, says["rest"]), options)
    return found.pop() if len(found) == 1 else None


def _readings(text: str, options: Sequence[str], answer_by: AnswerBy) -> set[int]:
    """The positions of the options that a text names."""
    named, first = _named(text, options), _LETTER_FIRST.fullmatch(text.strip(_AROUND))
    position = _positions(first["letter"], options) if first else set()
    if answer_by == "text" or first is None or not position:
        return named
    if not (rest := first["rest"]):
        return position
    if with_text := _named(rest, options):
        return named | position | with_text
    if first["letter"].isupper() and _SIGN_OF_A_LETTER.fullmatch(first["sign"]):
        return named | position | _positions(re.findall(_NO_ARTICLE, rest), options)
    return named


def _named(text: str, options: Sequence[str]) -> set[int]:
    """The positions of the options that equal a text, or else equal it but for case and the signs around it."""
    forms = (str.strip, lambda text: unicodedata.normalize("NFKC", text).casefold().strip(_AROUND))
    hits = ({i for i, option in enumerate(options) if form(option) == form(text) != ""} for form in forms)
    return next(filter(None, hits), set())


def _positions(letters: Sequence[str], options: Sequence[str]) -> set[int]:
    return {LETTERS.index(letter.upper()) for letter in letters} & set(range(len(options)))


def _check_options(options: Sequence[str], right: int, id: str) -> None:
    if isinstance(options, str) or not 2 <= len(options) <= len(LETTERS):
        found = f"the text {options!r:.40}" if isinstance(options, str) else f"{len(options)} options"
        raise ValueError(f"The question {id}: found {found}, expected a list of 2 to {len(LETTERS)}.")
    if "" in (texts := [option.strip() for option in options]) or len(set(texts)) < len(texts):
        raise ValueError(
            f"The question {id}: found the options {texts}, expected different texts, none of them empty."
        )
    if not 0 <= right < len(options):
        raise ValueError(f"The question {id}: `right` is {right}, expected the position of one of {len(options)}.")
