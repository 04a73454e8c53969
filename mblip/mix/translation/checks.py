"""Is this a translation? Checks that need no knowledge of both languages.

Each check covers one failure of translation models: an empty result, a word or symbol that the model does not know, an
unchanged source, repeated text, a missing or invented part, the wrong language. Quotations may be in any language and
placeholders are in none, so both are removed before the checks.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mblip.data.language_check import wrong_language, wrong_script
from mblip.data.languages import Language
from mblip.data.protected_text import Span, find_protected

UNKNOWN_SYMBOL = "<unk>"
# Characters of a translation per character of English. Measured on 7,500 pairs of xGQA, XVNLI and NLVR2: Latin 1.1,
# Cyrillic 0.96, Arabic 0.76, Bengali 0.8, Chinese 0.28, Korean 0.49. The others come from Babel-ImageNet's labels.
EXPECTED_RATIOS: Mapping[str, float] = {
    "Latn": 1.1,
    "Cyrl": 0.96,
    "Arab": 0.76,
    "Hebr": 0.75,
    "Hans": 0.28,
    "Hant": 0.28,
    "Jpan": 0.45,
    "Hang": 0.49,
    "Ethi": 0.55,
    "Mlym": 1.1,
    "Mymr": 1.05,
    "Taml": 1.1,
}
OTHER_RATIO = 0.9
MEASURED_SCRIPTS = frozenset({"Latn", "Cyrl", "Arab", "Beng", "Hans", "Hant", "Hang"})
# With `LENGTH_SLACK` characters added to both lengths, all of those pairs are within the first factor.
MEASURED_FACTOR, OTHER_FACTOR = 2.0, 2.5
LENGTH_SLACK = 10
_LOOP = re.compile(r"(.{1,60}?)\1{3,}", re.DOTALL)
MIN_LOOP = 12  # characters
MIN_WHITE_SPACE = 6
MAX_REPEATED_SHARE = 0.4  # share of runs of 3 words, or of 8 characters in texts with hardly any spaces
MIN_RUNS = 10


@dataclass(frozen=True)
class Failure:
    """Why a translation is refused: a cause to count by, and what was found."""

    cause: str
    detail: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.detail}"


def check_translation(
    source_text: str, translation: str, target: Language, *, is_equality_allowed: bool = False
) -> Failure | None:
    """The first check that a translation from English fails, or None.

    With `is_equality_allowed`, the translation may equal the source, as for single words ("pizza") with other checks.
    """
    if not translation.strip():
        return Failure("no translation", "empty, or without an end")
    if UNKNOWN_SYMBOL in translation:
        return Failure("unknown word", f"{translation.count(UNKNOWN_SYMBOL)} `{UNKNOWN_SYMBOL}`")
    kept = [_kept(span) for span in find_protected(source_text) if span.kind in ("quoted", "brace")]
    source, text = _without(source_text, kept), _without(translation, kept)
    if not any(character.isalpha() for character in source):
        return None
    if not is_equality_allowed and (detail := untranslated(source, text)):
        return Failure("left untranslated", detail)
    checks: Sequence[tuple[str, Callable[[], str | None]]] = (
        ("repetition", lambda: repetition(source, text)),
        ("length", lambda: wrong_length(source, text, target)),
        ("wrong script", lambda: wrong_script(text, target)),
        ("wrong language", lambda: wrong_language(text, target)),
    )
    found = ((cause, check()) for cause, check in checks)
    return next((Failure(cause, detail) for cause, detail in found if detail), None)


def untranslated(source: str, text: str) -> str | None:
    """Whether the text has the words of the source. Names and numbers may stay, and one other word ("hotel")."""
    words = [word for word in re.findall(r"\w+", source) if word[0].islower()]
    if re.findall(r"\w+", text.casefold()) != re.findall(r"\w+", source.casefold()) or len(words) < 2:
        return None
    return f"equal to the source, with {len(words)} words that are not names"


def repetition(source: str, text: str) -> str | None:
    """A loop that the source lacks: something four times in a row, or the same few words throughout."""
    if (loop := _loop(text)) and not _loop(source):
        return f"{loop[:40]!r} in a row"
    runs, runs_of_source = _runs(text), _runs(source)
    share, share_of_source = _repeated_share(runs), _repeated_share(runs_of_source)
    if len(runs) < MIN_RUNS or share <= max(MAX_REPEATED_SHARE, share_of_source):
        return None
    return f"{share:.0%} of it is repeated"


def wrong_length(source: str, text: str, target: Language) -> str | None:
    """Whether the text is much shorter or longer than usual translations into that script."""
    expected = len(source) * EXPECTED_RATIOS.get(target.script, OTHER_RATIO)
    factor = MEASURED_FACTOR if target.script in MEASURED_SCRIPTS else OTHER_FACTOR
    ratio = (len(text) + LENGTH_SLACK) / (expected + LENGTH_SLACK)
    if 1 / factor <= ratio <= factor:
        return None
    return f"{len(text)} characters for {len(source)}, expected about {expected:.0f}"


def _kept(span: Span) -> str:
    """The part of a protected span that the translation keeps, whatever happens to its quotation marks."""
    return span.text[1:-1] if span.kind == "quoted" else span.text


def _without(text: str, parts: Sequence[str]) -> str:
    for part in parts:
        text = text.replace(part, "", 1)
    return text


def _loop(text: str) -> str | None:
    """Text repeated at least four times in a row, over at least 12 characters; or 6 characters of white space."""
    for match in _LOOP.finditer(text):
        is_long = len(match[0]) >= MIN_LOOP and any(character.isalnum() for character in match[1])
        if is_long or (match[0].isspace() and len(match[0]) >= MIN_WHITE_SPACE):
            return match[1]
    return None


def _runs(text: str) -> list[Sequence[str]]:
    """All runs of 3 words, or of 8 characters if words average 8 or more characters."""
    words = text.split()
    if len(text) >= 8 * len(words):
        letters = "".join(words)
        return [letters[start : start + 8] for start in range(len(letters) - 7)]
    return [tuple(words[start : start + 3]) for start in range(len(words) - 2)]


def _repeated_share(runs: Sequence[Sequence[str]]) -> float:
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
