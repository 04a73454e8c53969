"""What a translation engine is: three words about itself and one function; and the settings that choose one.

nllb.py holds the engines themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mblip.data.languages import Language

OnFailure = Literal["skip", "stay_english"]


class TranslationEngine(Protocol):
    """Translates texts. Equal texts must get equal translations, whatever else stands in the call."""

    @property
    def name(self) -> str:
        """The engine with everything that may change a translation, such as its precision and its decoding."""

    @property
    def model(self) -> str:
        """Whose weights: a name on the Hub, or of a folder."""

    @property
    def revision(self) -> str:
        """Which state of them."""

    def translate(self, texts: Sequence[str], source: Language, target: Language) -> list[str]:
        """One translation per text, in their order; "" where none was found.

        A symbol that the model has no piece for stays visible as `<unk>`.

        Raises:
            ValueError: the engine does not know one of the languages.
        """


@dataclass(frozen=True)
class Decoding:
    """How translations are decoded. No engine samples: the same text gives the same translation.

    `num_beams` 1 is greedy. `no_repeat_ngram_size` n forbids n pieces in the same order twice; 0 forbids nothing.
    """

    num_beams: int = 1
    no_repeat_ngram_size: int = 0

    def __str__(self) -> str:
        beams = "greedy" if self.num_beams == 1 else f"{self.num_beams} beams"
        return beams if not self.no_repeat_ngram_size else f"{beams}, no {self.no_repeat_ngram_size} pieces twice"


GREEDY = Decoding()
CAREFUL = Decoding(num_beams=4, no_repeat_ngram_size=4)  # for what failed its checks: finds ends, cannot loop


@dataclass(frozen=True)
class TranslationSettings:
    """Who translates, as a recipe or a command says it, and what becomes of what cannot be.

    `model` is an NLLB, a name on the Hub or a folder, run by transformers or, with the same weights and faster, by
    CTranslate2. With `retry`, what fails its checks is translated a second time with a more careful decoding.
    `as_released` translates into the scripts of the original: Traditional Chinese, Central Kurdish.
    """

    model: str
    engine: Literal["transformers", "ctranslate2"] = "transformers"
    revision: str | None = None
    num_beams: int = 1
    retry: bool = True
    on_failure: OnFailure = "skip"
    as_released: bool = False
