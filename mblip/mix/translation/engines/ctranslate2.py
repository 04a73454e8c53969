"""NLLB through CTranslate2: the same weights and, in float32, the same translations as nllb.py, faster.

The folder is converted once, into a cache folder beside others, and loaded from there in the precision asked for.
Converting takes the memory of the model. benchmarks/translation.py measures the two side by side.

Beam search ends by other rules than transformers', so with beams a translation may differ now and then.
"""

import copy
import importlib.metadata
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from mblip.data.languages import Language
from mblip.data.model_folder import ModelFolder, open_model_folder

from .engine import GREEDY, Search
from .nllb_tokens import NllbTokens, length_batches

Precision = Literal["float32", "int8", "float16", "int8_float16", "bfloat16"]
INSTALL = "CTranslate2 is not installed: `pip install ctranslate2`, or translate with `NllbEngine`."


class CTranslate2Engine:
    """NLLB-200 in any size, or a folder of its kind; the arguments are those of `NllbEngine`.

    `cache_folder` holds what was converted, one folder per model and revision. `num_threads` 0 takes as many as
    OMP_NUM_THREADS or, without it, four.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        cache_folder: Path,
        revision: str | None = None,
        search: Search = GREEDY,
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
        self.model, self.revision = folder.name, folder.revision
        self.search, self.precision, self.max_batch_pieces = search, precision, max_batch_pieces
        self.tokens = NllbTokens(folder.path)
        converted = convert(folder, cache_folder)
        self.translator = Translator(str(converted), device, compute_type=precision, intra_threads=num_threads)

    @property
    def name(self) -> str:
        return f"ctranslate2 {self.precision}, {self.search}"

    def with_search(self, search: Search) -> "CTranslate2Engine":
        """The same weights, not loaded again, with another search."""
        other = copy.copy(self)
        other.search = search
        return other

    def translate(self, texts: Sequence[str], source: Language, target: Language) -> list[str]:
        """One translation per text; "" for those of more than 512 pieces and those that come to no end."""
        sources = self.tokens.encode(texts, source)
        self.tokens.language_id(target)  # raises for a language that the model does not know
        translations = [""] * len(texts)
        for batch in length_batches(sources, self.max_batch_pieces):
            pieces = [self.tokens.pieces(sources[place]) for place in batch.places]
            found = self.translator.translate_batch(
                pieces,
                target_prefix=[[target.nllb_code]] * len(pieces),
                beam_size=self.search.num_beams,
                no_repeat_ngram_size=self.search.no_repeat_ngram_size,
                max_input_length=0,  # nothing is cut off
                max_decoding_length=batch.max_new_pieces,
                return_end_token=True,
            )
            for place, result in zip(batch.places, found, strict=True):
                translations[place] = self.tokens.decode(self.tokens.ids(result.hypotheses[0][1:]))
        return translations


def convert(folder: ModelFolder, cache_folder: Path) -> Path:
    """The model as CTranslate2 reads it, in `cache_folder`; made there if it is not.

    It is written beside its place and moved there when it is whole, so that a killed conversion leaves none behind,
    and two processes may convert at once.
    """
    from ctranslate2.converters import TransformersConverter

    version = importlib.metadata.version("ctranslate2")
    place = cache_folder / re.sub(r"[^\w.-]+", "-", f"{folder.name}-{folder.revision}-ctranslate2-{version}")
    if place.is_dir():
        return place
    cache_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder, prefix="unfinished-") as unfinished:
        written = Path(TransformersConverter(str(folder.path)).convert(str(Path(unfinished) / "model")))
        try:
            os.rename(written, place)
        except OSError:
            if not place.is_dir():
                raise
            shutil.rmtree(written)  # another process was first
    return place
