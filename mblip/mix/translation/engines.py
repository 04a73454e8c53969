"""The interface of a translation engine, and the settings that choose one. nllb.py implements the engines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mblip.data.languages import Language
from mblip.data.recipes.ranges import Count

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
CAREFUL = Decoding(
    num_beams=4, no_repeat_ngram_size=4
)  # for texts that failed the checks: it ends more often and cannot loop


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
