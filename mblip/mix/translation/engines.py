"""The interface of a translation engine, and the settings that choose one.

nllb.py implements the built-in engines. One of your own is a function in one file (`OwnEngine`), as apertium.py.
"""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol

from mblip.data.example import SURROGATE
from mblip.data.languages import Language
from mblip.data.recipes.dotted import import_dotted
from mblip.data.recipes.ranges import Count
from mblip.data.recipes.strict_loading import to_plain

OnFailure = Literal["skip", "stay_english"]


class TranslationEngine(Protocol):
    """Translates texts. Equal texts must get equal translations, whatever the other texts of the call."""

    @property
    def name(self) -> str:
        """The engine, with every setting that may change a translation, such as precision and decoding."""

    @property
    def model(self) -> str:
        """The name of the weights: on the Hub, or of a folder."""

    @property
    def revision(self) -> str:
        """The revision of the weights."""

    def translate(self, texts: Sequence[str], source: Language, target: Language) -> list[str]:
        """One translation per text, in order; "" if none was found.

        A symbol that the model cannot write stays visible as `<unk>`.

        Raises:
            ValueError: the engine does not know one of the languages.
        """


@dataclass(frozen=True)
class Decoding:
    """How translations are decoded. No engine samples, so equal texts get equal translations.

    `num_beams` 1 is greedy. `no_repeat_ngram_size` n forbids repeating n tokens in the same order; 0 forbids nothing.
    """

    num_beams: int = 1
    no_repeat_ngram_size: int = 0

    def __str__(self) -> str:
        beams = "greedy" if self.num_beams == 1 else f"{self.num_beams} beams"
        return beams if not self.no_repeat_ngram_size else f"{beams}, no {self.no_repeat_ngram_size} pieces twice"


GREEDY = Decoding()
# For texts that failed the checks: it ends more often and cannot loop.
CAREFUL = Decoding(num_beams=4, no_repeat_ngram_size=4)


@dataclass(frozen=True)
class TranslationSettings:
    """The engine that a recipe or command chooses, and what to do with failures.

    `model` is an NLLB, a name on the Hub or a folder. It runs in transformers or, with the same weights and faster, in
    CTranslate2. With `retry`, texts that fail the checks are translated again with a more careful decoding. With
    `as_released`, translations use the original's scripts: Traditional Chinese, Central Kurdish.
    """

    model: str
    engine: Literal["transformers", "ctranslate2"] = "transformers"
    revision: str | None = None
    num_beams: Count = 1
    retry: bool = True
    on_failure: OnFailure = "skip"
    as_released: bool = False


@dataclass(frozen=True)
class OwnEngine:
    """A `TranslationEngine` by a dotted path, found beside the recipe, with the arguments that the recipe gives it.

    `def translate(texts: list[str], source: str, target: str, *, ...) -> list[str]` gets up to 256 texts, and two
    codes of languages.tsv: from English, and for frequent answers of VQA back into English. It returns a translation
    per text, in order: "" if it has none, and `<unk>` in front of a word that it leaves in the source language, which
    the checks refuse. It raises ValueError for a language that it does not know. Its keyword-only parameters, with
    their types, are the keys that a recipe may give.

    The function's file may have a `VERSION`: what else makes a translation, such as a server's version. The cache
    tells engines apart by the dotted path, `VERSION`, the arguments, and a digest of the file.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    on_failure: OnFailure = "skip"
    folder: Path = field(default=Path(), compare=False, kw_only=True)

    @property
    def model(self) -> str:
        """The `VERSION` of the function's file."""
        return str(vars(_module(self.name, self.folder)).get("VERSION", "no VERSION stated"))

    @property
    def revision(self) -> str:
        content = Path(str(_module(self.name, self.folder).__file__)).read_bytes()
        digest = hashlib.sha256(content + repr(sorted(to_plain(self.arguments).items())).encode())
        return f"sha256:{digest.hexdigest()[:16]}"

    def translate(self, texts: Sequence[str], source: Language, target: Language) -> list[str]:
        """What the function returns.

        Raises:
            ValueError: that is not one text per text.
        """
        found = find_engine(self.name, self.folder)(list(texts), source.code, target.code, **self.arguments)
        asked = f"`{self.name}`, asked for {len(texts)} translations from {source.code} to {target.code}, returned"
        if not isinstance(found, list) or len(found) != len(texts):
            what = f"{len(found)} of them" if isinstance(found, list) else f"a {type(found).__name__}"
            raise ValueError(f'{asked} {what}, expected a list with one for each text, in order; "" if there is none.')
        for text, translation in zip(texts, found, strict=True):
            if not isinstance(translation, str) or SURROGATE.search(translation):
                raise ValueError(f'{asked} {translation!r} for {text!r}, expected text that UTF-8 can write, or "".')
        return found


def find_engine(name: str, folder: Path) -> Callable[..., list[str]]:
    """The function of an engine that a recipe in `folder` names by a dotted path.

    Raises:
        ValueError: the path leads nowhere, or the function does not take three arguments by position.
    """
    function = import_dotted(name, folder)
    parameters = inspect.signature(function).parameters.values()
    by_position = [parameter.name for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
    if len(by_position) != 3:
        raise ValueError(
            f"`{name}` takes ({', '.join(by_position)}) by position, expected (texts, source, target). "
            "Make the recipe's keys keyword-only: `def translate(texts, source, target, *, url: str)`."
        )
    return function


@cache
def _module(name: str, folder: Path) -> ModuleType:
    find_engine(name, folder)
    return import_module(name.partition(":")[0])
