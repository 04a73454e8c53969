"""NLLB through transformers, on a CPU or a GPU.

In float32 a text's translation does not depend on what is translated beside it, but for near-ties that the last bits
of a sum decide; in 16 bit such ties are common enough to see (test_translation_engines.py measures the former).
"""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig, M2M100ForConditionalGeneration

from mblip.data.languages import Language
from mblip.data.model_folder import open_model_folder

from .engine import GREEDY, Search
from .nllb_tokens import Batch, NllbTokens, length_batches


class NllbEngine:
    """NLLB-200 in any size, such as "facebook/nllb-200-distilled-1.3B", or a folder of its kind.

    `max_batch_pieces` bounds the sources of a batch with their padding; beams multiply what a batch needs.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        revision: str | None = None,
        search: Search = GREEDY,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        max_batch_pieces: int = 4096,
    ) -> None:
        folder = open_model_folder(model, revision=revision)
        self.model, self.revision = folder.name, folder.revision
        self.search, self.max_batch_pieces = search, max_batch_pieces
        self.tokens = NllbTokens(folder.path)
        network = M2M100ForConditionalGeneration.from_pretrained(folder.path, dtype=dtype).eval()
        self.network = network.to(device)
        self.network.generation_config = GenerationConfig()  # the search is ours, not the folder's

    @property
    def name(self) -> str:
        return f"transformers {str(self.network.dtype).removeprefix('torch.')}, {self.search}"

    def with_search(self, search: Search) -> "NllbEngine":
        """The same weights, not loaded again, with another search."""
        other = copy.copy(self)
        other.search = search
        return other

    def translate(self, texts: Sequence[str], source: Language, target: Language) -> list[str]:
        """One translation per text; "" for those of more than 512 pieces and those that come to no end."""
        sources = self.tokens.encode(texts, source)
        target_id = self.tokens.language_id(target)
        translations = [""] * len(texts)
        for batch in length_batches(sources, self.max_batch_pieces):
            rows = self._generate([sources[place] for place in batch.places], batch, target_id)
            for place, row in zip(batch.places, rows, strict=True):
                translations[place] = self.tokens.decode(row[2:])  # behind </s> and the language's token
        return translations

    @torch.inference_mode()
    def _generate(self, sources: Sequence[Sequence[int]], batch: Batch, target_id: int) -> list[list[int]]:
        """The ids generated for each source of a batch, its start and its padding included."""
        config, device = self.network.config, self.network.device
        rows = [torch.tensor(ids) for ids in sources]
        input_ids = pad_sequence(rows, batch_first=True, padding_value=config.pad_token_id).to(device)
        search = GenerationConfig(
            do_sample=False,
            num_beams=self.search.num_beams,
            no_repeat_ngram_size=self.search.no_repeat_ngram_size,
            max_new_tokens=batch.max_new_pieces,
            forced_bos_token_id=target_id,
            decoder_start_token_id=config.decoder_start_token_id,
            eos_token_id=config.eos_token_id,
            pad_token_id=config.pad_token_id,
        )
        is_piece = (input_ids != config.pad_token_id).long()
        return self.network.generate(input_ids, attention_mask=is_piece, generation_config=search).tolist()
