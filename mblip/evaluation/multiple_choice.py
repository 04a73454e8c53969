"""Multiple choice: a question with 2 to 26 options that are texts. Options that are images are not supported.

A prompt lists the options where it says `{options}`. There are three ways to answer:

- by letter: options are listed as "A. red", and the answer is a letter;
- by text: options are listed without letters, or not at all, and the answer is the text of an option;
- by likelihood: a task with `answering="rank"` (or `constrained`) takes the letters or the texts as candidates.

An answer is read as follows. A letter alone is this option: "B", "b.", "(B)", "**B**", "【Ｂ】". So is the text of an
option, whatever its case. A letter with its text is, too ("B) red"), and so is a capital letter before an explanation
("B. It is red"), unless another option's letter is in brackets or ends the explanation. All of these may follow
"Answer:", "The answer is", "Option", "答案是" or any few words with a colon. Everything else is invalid: it counts as
wrong and into `share_invalid`. This includes letters of other scripts, where the second letter need not be the
second option, "A dog", "A or B", and a letter with the text of another option.

How others read answers:

- lmms-eval's MMMU and Pangea's CVQA and M3Exam look for a letter anywhere, take the last or first one, and draw an
  option at random if there is none. Kaleidoscope wants JSON, maps Б or ب to B, and has a share of invalid answers.
- VLMEvalKit's `can_infer` wants one letter among the words, or one option whose text the answer contains. It then asks
  a language model, and at last draws. Its CircularEval counts a question as right if it is right in every rotation.
- Centurio and FOCI count an answer as right if it begins with the right letter (Centurio also if it ends with it), so
  "a cat" is A. This is `accuracy_centurio` here.
"""

import re
import string
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from mblip.data.images import Image
from mblip.data.languages import ENGLISH
from mblip.data.stable_random import stable_random

from .answer_scoring import ACCURACY
from .benchmark import NO_CONTENT, ask
from .metrics.answers import is_empty
from .metrics.figure_sums import ratio
from .protocol import PromptForm
from .task import EvaluationExample, Scored, check_choice

AnswerBy = Literal["letter", "text"]
OptionOrder = Literal["as_given", "shuffled", "circular"]

LETTERS = string.ascii_uppercase
OPTIONS = "options"  # the input of a prompt
QUESTION = "question"  # the fact of an example whose question is asked with several orders of its options

_OPEN, _CLOSE = r"[(\[{<\"'“‘«*_【「『《〈〔]*", r"[)\]}>\"'”’»*_】」』》〉〕]*"
_END = r"[.,:;!。、।۔،]*"
_LETTER_ALONE = re.compile(rf"{_OPEN}\s*([A-Za-z])\s*{_END}{_CLOSE}{_END}")
_LETTER_FIRST = re.compile(
    rf"{_OPEN}(?P<letter>[A-Za-z])(?P<mark>\s*[)\]}}>*】」』》〉〕]+[.:]?|\s*[.,:。、]|\s+[-–—])?(?P<rest>.+)",
    re.DOTALL,
)
_OTHER_LETTER = re.compile(r"(?<![^\W_])([A-Z])(?=\s*[)\]】」』》〉〕]|[.!]?\s*$)")
_LEAD = re.compile(
    r"(?:(?:the |my )?(?:correct |right |best |final )?(?:answer|option|choice|letter)(?: is)?(?: option| letter)?\b"
    r"|答案(?:是|为)?|选|正解は|答えは|정답은)\s*:?\s*|\w[^:\n]{1,40}:\s*",
    re.IGNORECASE,
)
_BIDI_MARKS = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
_AROUND = " .!。।۔\"'“”‘’«»「」*"


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
    """Ask a multiple-choice question with every prompt, for `MultipleChoiceAccuracy`; see `ask`.

    Args:
        prompts: with `{options}`, and in braces the names of `inputs`.
        right: the position of the right option, from 0.
        order: of the options. `shuffled`: drawn by (seed, id). `circular`: one example for each of the n rotations.

    Raises:
        ValueError: the number of options, an option, or `right` is wrong, or a prompt does not list the options that
            letters or orders refer to.
    """
    check_choice("answer_by", answer_by, AnswerBy)
    check_choice("order", order, OptionOrder)
    _check_options(options, right, id)
    for prompt in prompts:
        if f"{{{OPTIONS}}}" not in prompt.text and (answer_by == "letter" or order == "circular"):
            raise ValueError(f"The prompt {prompt.text!r} does not list the options. Write {{options}} into it.")
    empty = dict.fromkeys(inputs, NO_CONTENT) | {OPTIONS: _listed([NO_CONTENT] * len(options), answer_by)}
    for number, positions in enumerate(_orders(len(options), order, seed, id)):
        texts = [options[i] for i in positions]
        names = list(LETTERS[: len(texts)]) if answer_by == "letter" else texts
        examples = ask(
            prompts,
            images=images,
            image_id=image_id,
            inputs={**inputs, OPTIONS: _listed(texts, answer_by)},
            references=(names[positions.index(right)],),
            candidates=tuple(names),
            language=language,
            answer_language=answer_language,
            id=f"{id}/rotation {number}" if order == "circular" else id,
            facts=dict(zip(LETTERS, texts, strict=False)) | ({QUESTION: id} if order == "circular" else {}),
        )
        for prompt, example in zip(prompts, examples, strict=True):
            yield replace(example, content_free=prompt.fill(answer_language, **empty))


@dataclass(frozen=True)
class MultipleChoiceAccuracy:
    """The share of questions answered with the right option; other answers, invalid ones included, are wrong.

    Beside it: `chance`, the accuracy of guessing; `share_invalid`; for each position, by its letter, the share of
    answers that choose it (`share_A`), the share of questions where it is right (`share_right_A`), and the accuracy
    there (`recall_A`); `circular_accuracy`, the share of questions that are right in every rotation.
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
        options = [_options_of(example) for example in examples]
        chosen = [read_choice(*pair, self.answer_by) for pair in zip(outputs, options, strict=True)]
        names = [
            LETTERS.index(example.references[0]) if self.answer_by == "letter" else texts.index(example.references[0])
            for example, texts in zip(examples, options, strict=True)
        ]
        sums = {
            self.main: ratio([choice == right for choice, right in zip(chosen, names, strict=True)]),
            "chance": ratio([1 / len(texts) for texts in options]),
            "share_invalid": ratio([choice is None for choice in chosen]),
            "share_empty": ratio(list(map(is_empty, outputs))),
        }
        if self.answer_by == "letter":
            sums["accuracy_centurio"] = ratio(list(map(_is_right_by_centurio, examples, outputs)))
        if all(QUESTION in example.facts for example in examples):
            questions = defaultdict(list)
            for i, example in enumerate(examples):
                questions[example.facts[QUESTION]].append(i)
            firsts = {members[0]: all(chosen[i] == names[i] for i in members) for members in questions.values()}
            places = range(len(examples))
            sums["circular_accuracy"] = ratio([firsts.get(i, 0) for i in places], [i in firsts for i in places])
        for i, letter in enumerate(LETTERS[: max(map(len, options))]):
            is_there = [right == i for right in names]
            sums[f"share_{letter}"] = ratio([choice == i for choice in chosen])
            sums[f"share_right_{letter}"] = ratio(is_there)
            sums[f"recall_{letter}"] = ratio(
                [c == i == right for c, right in zip(chosen, names, strict=True)], is_there
            )
        return Scored.of_sums(self.main, sums, {"chance": sum(1 / len(texts) for texts in options) / len(options)})


def read_choice(answer: str, options: Sequence[str], answer_by: AnswerBy = "letter") -> int | None:
    """The position of the option that an answer chooses, or None if it chooses none or more than one; see above."""
    written = answer.translate(_BIDI_MARKS).strip()
    text = unicodedata.normalize("NFKC", written)
    lead = _LEAD.match(text)
    parts = (written, text, text[lead.end() :]) if lead else (written, text)
    found: set[int] = next(filter(None, (_readings(part, options, answer_by) for part in parts)), set())
    return found.pop() if len(found) == 1 else None


def _readings(text: str, options: Sequence[str], answer_by: AnswerBy) -> set[int]:
    """The positions of the options that a text names, by letter or by text."""
    named = _named(text, options)
    if answer_by == "text":
        return named
    if alone := _LETTER_ALONE.fullmatch(text):
        return _position(alone[1], options)
    first = _LETTER_FIRST.match(text)
    if first is None or not (position := _position(first["letter"], options)):
        return named
    rest, is_apart = first["rest"], first["rest"][0].isspace()
    if also_named := _named(rest, options):
        return named | position | also_named if first["mark"] or is_apart else named
    if first["mark"] and is_apart and first["letter"].isupper():
        return named.union(position, *(_position(letter, options) for letter in _OTHER_LETTER.findall(rest)))
    return named


def _named(text: str, options: Sequence[str]) -> set[int]:
    """The options that equal a text: as written if there are any, else loosely."""
    forms: tuple[Callable[[str], str], ...] = (str.strip, _nfkc, lambda text: _nfkc(text).casefold().strip(_AROUND))
    hits = ({i for i, option in enumerate(options) if form(option) == form(text)} for form in forms if form(text))
    return next(filter(None, hits), set())


def _nfkc(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _position(letter: str, options: Sequence[str]) -> set[int]:
    position = LETTERS.index(letter.upper())
    return {position} if position < len(options) else set()


def _is_right_by_centurio(example: EvaluationExample, output: str) -> bool:
    """`relaxed_acc` of Centurio's `classification_evaluation`."""
    answer, right = output.strip().lower(), example.references[0].lower()
    return answer.startswith(right) or answer.endswith(right)


def _options_of(example: EvaluationExample) -> list[str]:
    return [example.facts[letter] for letter in LETTERS if letter in example.facts]


def _listed(texts: Sequence[str], answer_by: AnswerBy) -> str:
    letters = [f"{letter}. " for letter in LETTERS] if answer_by == "letter" else [""] * len(texts)
    return "\n".join(letter + text for letter, text in zip(letters, texts, strict=False))


def _orders(num_options: int, order: OptionOrder, seed: int, id: str) -> list[list[int]]:
    positions = list(range(num_options))
    if order == "shuffled":
        stable_random(seed, "options", id).shuffle(positions)
    if order == "circular":
        return [positions[i:] + positions[:i] for i in positions]
    return [positions]


def _check_options(options: Sequence[str], right: int, id: str) -> None:
    if isinstance(options, str) or not 2 <= len(options) <= len(LETTERS):
        found = f"the text {options!r:.40}" if isinstance(options, str) else f"{len(options)} options"
        raise ValueError(f"The question {id}: found {found}, expected a list of 2 to {len(LETTERS)}.")
    texts = [option.strip() for option in options]
    for i, text in enumerate(texts):
        if not text or text in texts[:i]:
            fault = f"equals option {texts.index(text)}" if text else "has no text"
            raise ValueError(f"The question {id}: option {i} {fault}. Options must be different texts.")
    if not 0 <= right < len(options):
        raise ValueError(f"The question {id}: `right` is {right}, expected the position of one of {len(options)}.")
