"""Texts as NLLB reads and writes them, and the batches they are translated in.

A source is `<code of its language> <pieces> </s>`, a translation the same in its own language. Batches hold texts of
nearly equal length: they are grouped by length in steps of `LENGTH_STEP` pieces, and how long a translation may become
follows from the step alone, so that it does not depend on what else is translated.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import NllbTokenizer

from mblip.data.languages import Language

LENGTH_STEP = 16
MAX_SOURCE_PIECES = 512  # what NLLB was trained on; longer ones have no translation
MAX_NEW_PIECES = 1000  # NLLB has 1,024 positions


@dataclass(frozen=True)
class Batch:
    """Texts to translate together: their places, and the number of pieces after which one is given up."""

    places: tuple[int, ...]
    max_new_pieces: int


class NllbTokens:
    """The tokenizer of an NLLB folder."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = NllbTokenizer.from_pretrained(folder)
        self.folder = folder

    def encode(self, texts: Sequence[str], source: Language) -> list[list[int]]:
        """The ids of each text; names of special tokens in a text are read as the characters they are."""
        code = self.language_id(source)
        pieces = self.tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [[code, *ids, self.tokenizer.eos_token_id] for ids in pieces]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The pieces that ids stand for, as CTranslate2 takes them."""
        return self.tokenizer.convert_ids_to_tokens(list(ids))

    def ids(self, pieces: Sequence[str]) -> list[int]:
        """The ids of pieces."""
        return self.tokenizer.convert_tokens_to_ids(list(pieces))

    def language_id(self, language: Language) -> int:
        """The id of the token that names a language.

        Raises:
            ValueError: the model has none.
        """
        number = self.tokenizer.convert_tokens_to_ids(language.nllb_code)
        if number == self.tokenizer.unk_token_id:
            known = [token for token in self.tokenizer.all_special_tokens if not token.startswith("<")]
            raise ValueError(
                f"{self.folder} has no token {language.nllb_code} ({language.name}), only {', '.join(sorted(known))}. "
                "Allot none of its examples, or take a model that knows the language."
            )
        return number

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a translation's ids, from behind its language's token; "" where no `</s>` ends it."""
        eos = self.tokenizer.eos_token_id
        if eos not in ids:
            return ""
        return self.tokenizer.decode(list(ids[: list(ids).index(eos)]), clean_up_tokenization_spaces=False).strip()


def length_batches(sources: Sequence[Sequence[int]], max_batch_pieces: int) -> Iterator[Batch]:
    """Batches of at most `max_batch_pieces` pieces with their padding; sources that are too long are in none."""
    by_step: dict[int, list[int]] = {}
    for place in sorted(range(len(sources)), key=lambda place: (len(sources[place]), place)):
        if len(sources[place]) <= MAX_SOURCE_PIECES:
            by_step.setdefault(-(-len(sources[place]) // LENGTH_STEP), []).append(place)
    for step, places in by_step.items():
        longest = step * LENGTH_STEP
        size = max(1, max_batch_pieces // longest)
        for start in range(0, len(places), size):
            batch = tuple(places[start : start + size])
            yield Batch(batch, min(MAX_NEW_PIECES, 3 * longest + LENGTH_STEP))
