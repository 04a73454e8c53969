"""NLLB through transformers, on a CPU or GPU, or through CTranslate2, which runs the same weights faster.

A source is `<code of its language> <tokens> </s>`. A translation has the same form in its own language. Batches hold
texts of nearly equal length, grouped in steps of `LENGTH_STEP` tokens. A translation's maximum length depends on the
step alone, and so not on the other texts.

In float32, a translation does not depend on the other texts of its batch, except for near-ties that the last bits of a
sum decide. (test_translation_engines.py measures this.) In 16 bits, such ties are common enough to notice. In float32,
both engines give the same translations with greedy decoding. CTranslate2 ends beam search by other rules, so with
beams a translation may differ now and then. benchmarks/translation.py compares the two.
"""

import copy
import importlib.metadata
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig, M2M100ForConditionalGeneration, NllbTokenizer

from mblip.data.languages import Language

from ..model_folder import ModelFolder, open_model_folder
from .engines import CAREFUL, GREEDY, Decoding, OwnEngine, TranslationEngine, TranslationSettings

Precision = Literal["float32", "int8", "float16", "int8_float16", "bfloat16"]

INSTALL = "CTranslate2 is not installed: `pip install ctranslate2`, or translate with `NllbEngine`."
LENGTH_STEP = 16
MAX_SOURCE_PIECES = 512  # NLLB's maximum in training; longer texts get no translation
MAX_NEW_PIECES = 1000  # NLLB has 1,024 positions


class _Nllb:
    """What both engines share: the folder's tokenizer, the decoding, and batches."""

    def __init__(self, folder: ModelFolder, decoding: Decoding, max_batch_pieces: int) -> None:
        self.model, self.revision = folder.name, folder.revision
        self.decoding, self.max_batch_pieces = decoding, max_batch_pieces
        self.tokens = NllbTokens(folder.path)

    def with_decoding(self, decoding: Decoding) -> Self:
        """An engine with another decoding, which shares the loaded weights."""
        other = copy.copy(self)
        other.decoding = decoding
        return other

    def translate(self, texts: Sequence[str], source: Language, target: Language) -> list[str]:
        """One translation per text; "" for texts of more than 512 tokens, and for translations without an end."""
        sources = self.tokens.encode(texts, source)
        self.tokens.language_id(target)  # raises if the model does not know the language
        translations = [""] * len(texts)
        for batch in length_batches(sources, self.max_batch_pieces):
            found = self._generate([sources[position] for position in batch.positions], batch.max_new_pieces, target)
            for position, ids in zip(batch.positions, found, strict=True):
                translations[position] = self.tokens.decode(ids)
        return translations

    def _generate(self, sources: Sequence[list[int]], max_new_pieces: int, target: Language) -> list[list[int]]:
        """The ids of each translation, after its language's token."""
        raise NotImplementedError


class NllbEngine(_Nllb):
    """NLLB-200 in any size, such as "facebook/nllb-200-distilled-1.3B", or a folder of that kind.

    `max_batch_pieces` limits the source tokens of a batch, padding included. Beams multiply a batch's memory.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        revision: str | None = None,
        decoding: Decoding = GREEDY,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        max_batch_pieces: int = 4096,
    ) -> None:
        folder = open_model_folder(model, revision=revision)
        super().__init__(folder, decoding, max_batch_pieces)
        network = M2M100ForConditionalGeneration.from_pretrained(folder.path, dtype=dtype).eval()
        self.network = network.to(device)
        self.network.generation_config = GenerationConfig()  # we set the decoding, not the folder

    @property
    def name(self) -> str:
        return f"transformers {str(self.network.dtype).removeprefix('torch.')}, {self.decoding}"

    @torch.inference_mode()
    def _generate(self, sources: Sequence[list[int]], max_new_pieces: int, target: Language) -> list[list[int]]:
        config, device = self.network.config, self.network.device
        rows = [torch.tensor(ids) for ids in sources]
        input_ids = pad_sequence(rows, batch_first=True, padding_value=config.pad_token_id).to(device)
        decoding = GenerationConfig(
            do_sample=False,
            num_beams=self.decoding.num_beams,
            no_repeat_ngram_size=self.decoding.no_repeat_ngram_size,
            max_new_tokens=max_new_pieces,
            forced_bos_token_id=self.tokens.language_id(target),
            decoder_start_token_id=config.decoder_start_token_id,
            eos_token_id=config.eos_token_id,
            pad_token_id=config.pad_token_id,
        )
        is_piece = (input_ids != config.pad_token_id).long()
        found = self.network.generate(input_ids, attention_mask=is_piece, generation_config=decoding)
        return found[:, 2:].tolist()  # after </s> and the language's token


class CTranslate2Engine(_Nllb):
    """NLLB-200 in any size, or a folder of that kind. The arguments are those of `NllbEngine`.

    The folder is converted once, which takes as much memory as the model, and loaded in the given precision.
    `cache_folder` keeps the conversions, one folder per model and revision. `num_threads` 0 uses OMP_NUM_THREADS or,
    if that is unset, four.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        cache_folder: Path,
        revision: str | None = None,
        decoding: Decoding = GREEDY,
        device: Literal["cpu", "cuda"] = "cpu",
        precision: Precision = "float32",
        num_threads: int = 0,
        max_batch_pieces: int = 4096,
    ) -> None:
        try:
            from ctranslate2 import Translator
        except ImportError as error:
            raise ImportError(INSTALL) from error
        folder = open_model_folder(model, revision=revision)
        super().__init__(folder, decoding, max_batch_pieces)
        self.precision = precision
        converted = convert(folder, cache_folder)
        self.translator = Translator(str(converted), device, compute_type=precision, intra_threads=num_threads)

    @property
    def name(self) -> str:
        return f"ctranslate2 {self.precision}, {self.decoding}"

    def _generate(self, sources: Sequence[list[int]], max_new_pieces: int, target: Language) -> list[list[int]]:
        found = self.translator.translate_batch(
            [self.tokens.pieces(ids) for ids in sources],
            target_prefix=[[target.nllb_code]] * len(sources),
            beam_size=self.decoding.num_beams,
            no_repeat_ngram_size=self.decoding.no_repeat_ngram_size,
            max_input_length=0,  # cut nothing off
            max_decoding_length=max_new_pieces,
            return_end_token=True,
        )
        return [self.tokens.ids(result.hypotheses[0][1:]) for result in found]


def open_engines(
    settings: TranslationSettings | OwnEngine, *, converted: Path
) -> tuple[TranslationEngine, TranslationEngine | None]:
    """The engine with its weights loaded, and the one for retries. `converted` keeps CTranslate2's conversions."""
    if isinstance(settings, OwnEngine):
        return settings, None
    decoding = Decoding(num_beams=settings.num_beams)
    device: Literal["cuda", "cpu"] = "cuda" if torch.cuda.is_available() else "cpu"
    model, revision = settings.model, settings.revision
    engine: _Nllb
    if settings.engine == "transformers":
        engine = NllbEngine(model, revision=revision, decoding=decoding, device=device)
    else:
        engine = CTranslate2Engine(model, cache_folder=converted, revision=revision, decoding=decoding, device=device)
    return engine, engine.with_decoding(CAREFUL) if settings.retry else None


def convert(folder: ModelFolder, cache_folder: Path) -> Path:
    """The folder of the model for CTranslate2 in `cache_folder`; converted if it is not there.

    The write is atomic: a killed conversion leaves nothing behind, and two processes may convert at once.
    """
    from ctranslate2.converters import TransformersConverter

    version = importlib.metadata.version("ctranslate2")
    target = cache_folder / re.sub(r"[^\w.-]+", "-", f"{folder.name}-{folder.revision}-ctranslate2-{version}")
    if target.is_dir():
        return target
    cache_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder, prefix="partial-") as partial:
        written = Path(TransformersConverter(str(folder.path)).convert(str(Path(partial) / "model")))
        try:
            os.rename(written, target)
        except OSError:
            if not target.is_dir():
                raise
            shutil.rmtree(written)  # another process finished first
    return target


class NllbTokens:
    """The tokenizer of an NLLB folder."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = NllbTokenizer.from_pretrained(folder)
        self.folder = folder

    def encode(self, texts: Sequence[str], source: Language) -> list[list[int]]:
        """The ids of each text. Names of special tokens in a text are treated as plain characters."""
        code = self.language_id(source)
        pieces = self.tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [[code, *ids, self.tokenizer.eos_token_id] for ids in pieces]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The tokens of ids as text, as CTranslate2 takes them."""
        return self.tokenizer.convert_ids_to_tokens(list(ids))

    def ids(self, pieces: Sequence[str]) -> list[int]:
        """The ids of tokens given as text."""
        return self.tokenizer.convert_tokens_to_ids(list(pieces))

    def language_id(self, language: Language) -> int:
        """The id of the token that names a language.

        Raises:
            ValueError: the model has no such token.
        """
        number = self.tokenizer.convert_tokens_to_ids(language.nllb_code)
        if number == self.tokenizer.unk_token_id:
            known = [token for token in self.tokenizer.all_special_tokens if not token.startswith("<")]
            raise ValueError(
                f"{self.folder} has no token {language.nllb_code} ({language.name}), only {', '.join(sorted(known))}. "
                "Allot no examples to it, or use a model that knows it."
            )
        return number

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a translation's ids, after its language's token; "" if no `</s>` ends it."""
        eos = self.tokenizer.eos_token_id
        if eos not in ids:
            return ""
        return self.tokenizer.decode(list(ids[: list(ids).index(eos)]), clean_up_tokenization_spaces=False).strip()


@dataclass(frozen=True)
class Batch:
    """Texts to translate together: their positions, and the token limit at which a translation is abandoned."""

    positions: tuple[int, ...]
    max_new_pieces: int


def length_batches(sources: Sequence[Sequence[int]], max_batch_pieces: int) -> Iterator[Batch]:
    """Batches of at most `max_batch_pieces` tokens, padding included. Sources that are too long are skipped."""
    by_step: dict[int, list[int]] = {}
    for position in sorted(range(len(sources)), key=lambda position: (len(sources[position]), position)):
        if len(sources[position]) <= MAX_SOURCE_PIECES:
            by_step.setdefault(-(-len(sources[position]) // LENGTH_STEP), []).append(position)
    for step, positions in by_step.items():
        longest = step * LENGTH_STEP
        size = max(1, max_batch_pieces // longest)
        for start in range(0, len(positions), size):
            batch = tuple(positions[start : start + size])
            yield Batch(batch, min(MAX_NEW_PIECES, 3 * longest + LENGTH_STEP))
