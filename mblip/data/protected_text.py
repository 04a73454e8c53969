"""What a translation must keep unchanged: quotations, numbers, `<image>`, and placeholders such as `{language}`.

A quotation is text in the image or speech ('a sign that reads "STOP"'). A model would translate it, or write a name in
another alphabet. Protected parts are taken out before translation and put back afterwards:

- Numbers stay in the text, because models usually copy them. We compare the digits, in any script and with any
  thousands and decimal separators, and write them back as ASCII digits.
- Quotations, `<image>` and `{...}` are replaced by three-digit numbers that the text does not contain. A quotation
  keeps its marks: `"971"`. Such stand-ins need no alphabet, have no case, take no endings and are never grouped.
- `<image>` at either end is cut off, because no grammar depends on it.

A number is lost if it does not come back; a stand-in is also lost if it comes back twice. In that case the pieces
between the protected parts are translated one by one and joined in the source's order. The grammar is poor, but
nothing is missing.

English texts are also cut into sentences here, never inside a quotation. NLLB was trained on single sentences. Given
several, it drops some.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

MARKS = "\"'“”„‟‘’‚‛«»‹›「」『』"  # marks that a translation may put around a quotation
MAX_SINGLE_QUOTED = 40  # characters between '...'; a longer stretch is probably text between two apostrophes
ABBREVIATIONS = frozenset("mr mrs ms dr st mt jr sr vs no prof gen col capt sgt lt inc ltd co corp etc approx".split())  # noqa: SIM905
APOSTROPHES = "['’]"
FIRST_STAND_IN, LAST_STAND_IN = 971, 131
_INSIDE_SINGLE = rf"(?=\S)(?:[^'’\n]|(?<=\w)['’](?=\w)){{2,{MAX_SINGLE_QUOTED}}}(?<=\S)"
_PROTECTED = re.compile(
    r"(?P<image>\\?<image>)"
    r"|(?P<brace>\{\w+\})"
    r"|(?<!\w)(?P<quoted>"
    r"\"(?=\S)[^\"\n]+(?<=\S)\"|“[^”\n]+”|„[^“”\n]+[“”]|«[^»\n]+»|‹[^›\n]+›|「[^」\n]+」|『[^』\n]+』"
    rf"|'{_INSIDE_SINGLE}'|‘{_INSIDE_SINGLE}’"
    r")(?!\w)"
    r"|(?P<number>\w*\d\w*(?:[.,:/]\d\w*)*%?)"
)
_NUMBER = re.compile(r"\d+(?:[.,:/'’٫٬]\d+)*")
_END = re.compile(r"(?:[.!?]+[\"'”’)\]]*\s+(?=[^a-z\s])|\s*\n\s*)")
_LAST_WORD = re.compile(r"(\S*?)\.[\"'”’)\]]*\s+\Z")


@dataclass(frozen=True)
class Span:
    """A protected part of a text: its position, and its kind: "image", "brace", "quoted" or "number"."""

    start: int
    end: int
    kind: str
    text: str


def find_protected(text: str) -> list[Span]:
    """The protected parts of a text, in order. Parts inside a quotation are not listed separately."""
    return [
        Span(match.start(), match.end(), str(match.lastgroup), match[0])
        for match in _PROTECTED.finditer(text)
        if match.lastgroup != "quoted" or any(character.isalnum() for character in match[0])
    ]


@dataclass(frozen=True)
class ProtectedText:
    """A text and its protected parts.

    `head` and `tail` are cut off: `<image>` and white space at the ends. `masked` is the text to translate.
    `stand_ins` are the numbers that replace spans.
    """

    head: str
    body: str
    tail: str
    spans: tuple[Span, ...] = field(repr=False)
    stand_ins: dict[int, Span] = field(repr=False)

    @property
    def masked(self) -> str:
        """The text with stand-ins for the parts that must not be translated."""
        parts, position = [], 0
        for number, span in self.stand_ins.items():
            inside = f"{span.text[0]}{number}{span.text[-1]}" if span.kind == "quoted" else str(number)
            parts += [self.body[position : span.start], inside]
            position = span.end
        return "".join([*parts, self.body[position:]])

    @property
    def is_translatable(self) -> bool:
        """Whether the text holds more than protected parts and punctuation."""
        return bool(self.pieces)

    def lost(self, translation: str) -> tuple[str, ...]:
        """The protected parts that the translation of `masked` lacks, or repeats where only one is allowed."""
        found = Counter(_digits(translation))
        missing = [span.text for number, span in self.stand_ins.items() if found[str(number)] != 1]
        wanted = Counter(digits for span in self.spans if span.kind == "number" for digits in _digits(span.text))
        return (*missing, *(digits for digits, count in wanted.items() if found[digits] < count))

    def restore(self, translation: str) -> str:
        """The translation of `masked` with the source's protected parts put back. Call it only if nothing is lost."""
        restored = ascii_digits(translation)
        for number, span in self.stand_ins.items():
            match = _stand_in(number).search(restored)
            assert match is not None, f"{number} is lost"
            restored = restored[: match.start()] + _put_back(match, span) + restored[match.end() :]
        return self.head + restored + self.tail

    @property
    def pieces(self) -> tuple[str, ...]:
        """The texts between the protected parts, to translate if `masked` fails."""
        return tuple(text.strip() for text, is_kept in self._parts() if not is_kept)

    def join_pieces(self, translations: Sequence[str]) -> str:
        """The whole text, from one translation per piece."""
        remaining = iter(translations)
        parts = [text if is_kept else _like(text, next(remaining)) for text, is_kept in self._parts()]
        return self.head + "".join(parts) + self.tail

    def _parts(self) -> Iterator[tuple[str, bool]]:
        """The body in order: each part, and whether it stays unchanged. A part without letters stays too."""
        position = 0
        for span in (*self.spans, None):
            between = self.body[position : span.start if span else len(self.body)]
            yield between, not any(character.isalpha() for character in between)
            if span:
                yield span.text, True
                position = span.end


def protect(text: str) -> ProtectedText:
    """Prepare a text for translation: translate `masked`, check `lost`, then call `restore` or `join_pieces`."""
    head, body, tail = _cut(text)
    spans = tuple(find_protected(body))
    numbers = _unused_numbers(body)
    stand_ins = {next(numbers): span for span in spans if span.kind != "number"}
    return ProtectedText(head, body, tail, spans, stand_ins)


def ascii_digits(text: str) -> str:
    """The text with every decimal digit in ASCII: "३" becomes "3"."""
    return "".join(str(unicodedata.decimal(character)) if character.isdecimal() else character for character in text)


@dataclass(frozen=True)
class Sentence:
    """A sentence, and the white space between it and the next."""

    text: str
    gap: str


def split_sentences(text: str) -> list[Sentence]:
    """The sentences of an English text. Joined with their gaps, they give the text.

    A sentence ends at a line break, or after `.`, `!` or `?` if white space and then anything but a small letter
    follows. It does not end inside a quotation, after an abbreviation or an initial, or after the number of a list
    item. In doubt, the sentences stay together.
    """
    quoted = [span for span in find_protected(text) if span.kind == "quoted"]
    sentences, start = [], 0
    for match in _END.finditer(text):
        if any(span.start < match.end() - 1 < span.end for span in quoted):
            continue
        if not _is_abbreviation(text[start : match.end()]):
            sentences.append(_sentence(text[start : match.end()]))
            start = match.end()
    if start < len(text) or not text:
        sentences.append(_sentence(text[start:]))
    return sentences


def _cut(text: str) -> tuple[str, str, str]:
    """The text in three parts: white space and `<image>` at the start, the body, and the same at the end."""
    beginning = re.match(r"(?:\s|\\?<image>)*", text)
    assert beginning is not None
    rest = text[beginning.end() :]
    end = re.search(r"(?:\s|\\?<image>)*\Z", rest)
    assert end is not None
    return beginning[0], rest[: end.start()], end[0]


def _unused_numbers(text: str) -> Iterator[int]:
    """Three-digit numbers that no number of the text contains."""
    digits = " ".join(_digits(text))
    return (number for number in range(FIRST_STAND_IN, LAST_STAND_IN, -1) if str(number) not in digits)


def _digits(text: str) -> list[str]:
    """The numbers of a text, as digits alone: "10,000" and "१०.०००" are "10000"."""
    return [re.sub(r"\D", "", number) for number in _NUMBER.findall(ascii_digits(text))]


def _stand_in(number: int) -> re.Pattern[str]:
    """A stand-in in a translation, with the marks around it. A mark on one side alone counts unless it is an
    apostrophe.
    """
    marks, no_apostrophe = f"[{MARKS}]", f"[{re.sub(APOSTROPHES, '', MARKS)}]"
    return re.compile(
        rf"(?P<before>{marks})\s*{number}\s*(?P<after>{marks})"
        rf"|(?:{no_apostrophe}\s*)?(?<!\d){number}(?!\d)(?:\s*{no_apostrophe})?"
    )


def _put_back(match: re.Match[str], span: Span) -> str:
    """The span that replaces its stand-in. A quotation takes the translation's marks if it has two, else its own."""
    if span.kind != "quoted":
        return span.text.join([match["before"] or "", match["after"] or ""])
    return f"{match['before']}{span.text[1:-1]}{match['after']}" if match["before"] else span.text


def _like(source: str, translation: str) -> str:
    """The translation with the white space of the source at its ends."""
    before, after = source[: len(source) - len(source.lstrip())], source[len(source.rstrip()) :]
    return before + translation + after


def _sentence(text: str) -> Sentence:
    return Sentence(text.rstrip(), text[len(text.rstrip()) :])


def _is_abbreviation(sentence: str) -> bool:
    """Whether the final full stop belongs to a word ("Mr. ", "J. ", "U.S. ") or to a list number ("2. ")."""
    match = _LAST_WORD.search(sentence)
    if match is None or "\n" in sentence[match.start() :]:
        return False
    word = match[1].lstrip("(\"'“‘")
    if word.casefold() in ABBREVIATIONS:
        return True
    is_list_number = word.isdigit() and not sentence[: match.start()].strip()
    return is_list_number or re.fullmatch(r"[A-Za-z](?:\.[A-Za-z])*", word) is not None
