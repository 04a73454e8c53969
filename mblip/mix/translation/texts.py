"""Translating texts carefully: by sentence, with protected parts, checks, and a retry.

1. Split the text into sentences, and take the protected parts out of each (protected_text.py).
2. Translate the distinct sentences in one engine call.
3. If a sentence lost a protected part, translate the pieces around it instead.
4. Check the whole text (checks.py). If it fails, try once more with the engine for retries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mblip.data.languages import Language
from mblip.data.protected_text import ProtectedText, Sentence, protect, split_sentences

from .checks import Failure, check_translation
from .engines import TranslationEngine

SCRIPTS_WITHOUT_SPACES = frozenset({"Hans", "Hant", "Jpan"})  # no space between sentences


@dataclass(frozen=True)
class TranslatedText:
    """A text with its translation, the engine that made it, and the failure if it must not be used."""

    source_text: str
    text: str
    engine: TranslationEngine
    failure: Failure | None
    is_in_pieces: bool
    is_retried: bool = False

    @property
    def provenance(self) -> dict[str, str]:
        """The translation's origin: source_text, engine, model, revision."""
        engine = self.engine
        described = {"engine": engine.name, "model": engine.model, "revision": engine.revision}
        return {"source_text": self.source_text} | described


def translate_texts(
    texts: Sequence[str],
    engine: TranslationEngine,
    source: Language,
    target: Language,
    *,
    retry_engine: TranslationEngine | None = None,
) -> list[TranslatedText]:
    """One translation per text, in order. If it fails the checks with both engines, `failure` says why.

    Raises:
        ValueError: an engine does not know a language.
    """
    translated = _translate_once(texts, engine, source, target)
    failed = [text.source_text for text in translated.values() if text.failure]
    if retry_engine is not None and failed:
        again = _translate_once(failed, retry_engine, source, target, is_retry=True)
        translated |= {text: result for text, result in again.items() if not result.failure}
    return [translated[text] for text in texts]


def _translate_once(
    texts: Sequence[str], engine: TranslationEngine, source: Language, target: Language, *, is_retry: bool = False
) -> dict[str, TranslatedText]:
    """The distinct texts with their translations."""
    # the distinct sentences, with the protected parts taken out
    sentences = {text: split_sentences(text) for text in texts}
    protected = {sentence.text: protect(sentence.text) for parts in sentences.values() for sentence in parts}
    # translate all in one call, then the pieces of those that lost a protected part
    wholes = [whole.masked for whole in protected.values() if whole.is_translatable]
    found = _translations(wholes, engine, source, target)
    broken = [whole for whole in protected.values() if whole.is_translatable and whole.lost(found[whole.masked])]
    pieces = _translations([piece for whole in broken for piece in whole.pieces], engine, source, target)
    # join and check
    done = {text: _finish(whole, found, pieces) for text, whole in protected.items()}
    return {text: _join(text, parts, done, engine, target, is_retry) for text, parts in sentences.items()}


def _translations(
    texts: Sequence[str], engine: TranslationEngine, source: Language, target: Language
) -> dict[str, str]:
    distinct = list(dict.fromkeys(texts))
    return dict(zip(distinct, engine.translate(distinct, source, target), strict=True)) if distinct else {}


@dataclass(frozen=True)
class _Done:
    """A sentence's translation, and the protected parts that it finally lost."""

    text: str
    is_in_pieces: bool = False
    lost: tuple[str, ...] = ()


def _finish(whole: ProtectedText, found: Mapping[str, str], pieces: Mapping[str, str]) -> _Done:
    """The finished sentence: from its translation, or from its pieces if the translation lost a protected part."""
    if not whole.is_translatable:
        return _Done(whole.restore(whole.masked))
    translation = found[whole.masked]
    lost = whole.lost(translation)
    if not lost:
        return _Done(whole.restore(translation) if translation else "")
    of_pieces = [pieces[piece] for piece in whole.pieces]
    return _Done(whole.join_pieces(of_pieces), is_in_pieces=True, lost=() if all(of_pieces) else lost)


def _join(
    text: str,
    sentences: Sequence[Sentence],
    done: Mapping[str, _Done],
    engine: TranslationEngine,
    target: Language,
    is_retry: bool,
) -> TranslatedText:
    """The sentences' translations as one checked text."""
    parts = [done[sentence.text] for sentence in sentences]
    gaps = [_gap(sentence.gap, target) for sentence in sentences]
    joined = "".join(part.text + gap for part, gap in zip(parts, gaps, strict=True))
    lost = [name for part in parts for name in part.lost]
    if lost:
        failure: Failure | None = Failure("lost", ", ".join(lost))
    elif any(sentence.text and not done[sentence.text].text for sentence in sentences):
        failure = Failure("no translation", "of a sentence")
    else:
        failure = check_translation(text, joined, target)
    return TranslatedText(text, joined, engine, failure, any(part.is_in_pieces for part in parts), is_retry)


def _gap(gap: str, target: Language) -> str:
    return "" if target.script in SCRIPTS_WITHOUT_SPACES and "\n" not in gap else gap
