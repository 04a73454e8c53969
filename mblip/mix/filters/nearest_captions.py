"""The captions most similar to an image, in an order that does not depend on the search engine.

There are two engines: FAISS through `datasets` (with a flat index, so it also compares every caption), and torch,
optionally on a GPU. Both sum in float32, each in its own order. So captions of nearly equal similarity may change
places, and equal captions come in any order. To fix the order, we search for some more than wanted, compute their
similarities again in float64, and sort them; equal ones are sorted by row. Rounding may have kept a caption out if the
last one found is about as similar as the last one wanted. Then we search for more.

Shape suffixes: Q = query images, N = captions, K = captions found, D = width of an embedding.
"""

from collections.abc import Callable
from typing import Any, Literal

import datasets
import torch

from .embeddings import EMBEDDING, embeddings_of

SearchEngine = Literal["faiss", "torch"]

NUM_MORE = 32  # captions searched beyond those wanted
CAPTIONS_AT_ONCE = 16_384  # captions whose similarities are in memory
NUMBERS_AT_ONCE = 1 << 18  # float64 numbers of embeddings: 2 MB, which fit into the processor's cache
TOLERANCE = 1e-4  # more than twice the rounding error of a float32 inner product of vectors of length 1


class NearestCaptions:
    """Captions to search. Their embeddings take N x D x 4 bytes in memory, twice that with FAISS."""

    def __init__(
        self, captions: datasets.Dataset, *, engine: SearchEngine = "torch", device: str | torch.device = "cpu"
    ) -> None:
        """
        Args:
            captions: rows with embeddings of length 1.
            device: where torch searches; FAISS searches on the CPU.

        Raises:
            ImportError: FAISS is requested but not installed.
        """
        self._embeddings_ND = torch.tensor(embeddings_of(captions), device=device)
        self._search = _faiss_search(captions) if engine == "faiss" else self._search_with_torch

    def ranked(self, images_QD: torch.Tensor, num_wanted: int) -> torch.Tensor:
        """The rows of the captions most similar to each image, most similar first: (Q, K), K = `num_wanted`.

        Raises:
            ValueError: more captions are wanted than there are.
        """
        num_captions = len(self._embeddings_ND)
        if num_wanted > num_captions:
            raise ValueError(
                f"Found {num_captions} captions, expected at least {num_wanted}. Lower the ranks or add captions."
            )
        images_QD = images_QD.to(self._embeddings_ND.device)
        rows_QK = torch.empty(len(images_QD), num_wanted, dtype=torch.int64)
        open_Q, num_sought = torch.arange(len(images_QD)), num_wanted + NUM_MORE
        while len(open_Q):
            num_sought = min(num_sought, num_captions)
            found_QK = self._search(images_QD[open_Q], num_sought)
            similarities_QK, found_QK = self._sorted(images_QD[open_Q], found_QK)
            rows_QK[open_Q] = found_QK[:, :num_wanted].cpu()
            gap_Q = similarities_QK[:, num_wanted - 1] - similarities_QK[:, -1]
            is_settled_Q = (gap_Q > TOLERANCE) | (num_sought == num_captions)
            open_Q, num_sought = open_Q[~is_settled_Q.cpu()], 2 * num_sought
        return rows_QK

    def _sorted(self, images_QD: torch.Tensor, rows_QK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Similarities in float64 and rows, (Q, K) each, most similar first, equal ones by row."""
        rows_QK = rows_QK.to(images_QD.device).sort(dim=1).values
        num_together = max(1, NUMBERS_AT_ONCE // (rows_QK.shape[1] * images_QD.shape[1]))
        similarities_QK = torch.cat(
            [
                (self._embeddings_ND[rows].double() * images[:, None].double()).sum(-1)
                for rows, images in zip(rows_QK.split(num_together), images_QD.split(num_together), strict=True)
            ]
        )
        similarities_QK, order_QK = similarities_QK.sort(dim=1, descending=True, stable=True)
        return similarities_QK, rows_QK.gather(1, order_QK)

    def _search_with_torch(self, images_QD: torch.Tensor, num_sought: int) -> torch.Tensor:
        """The rows of the most similar captions, (Q, K), found part by part."""
        best_QK = torch.empty(len(images_QD), 0, device=images_QD.device)
        rows_QK = torch.empty(len(images_QD), 0, dtype=torch.int64, device=images_QD.device)
        for start in range(0, len(self._embeddings_ND), CAPTIONS_AT_ONCE):
            similarities_QN = images_QD @ self._embeddings_ND[start : start + CAPTIONS_AT_ONCE].T
            of_part_QK, positions_QK = similarities_QN.topk(min(num_sought, similarities_QN.shape[1]))
            best_QK = torch.cat([best_QK, of_part_QK], dim=1)
            rows_QK = torch.cat([rows_QK, positions_QK + start], dim=1)
            best_QK, positions_QK = best_QK.topk(min(num_sought, best_QK.shape[1]))
            rows_QK = rows_QK.gather(1, positions_QK)
        return rows_QK


def _faiss_search(captions: datasets.Dataset) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """A search in an index that `datasets` builds."""
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            "FAISS is not installed: `pip install faiss-cpu`, or search with torch (engine='torch')."
        ) from error
    indexed: Any = captions.select_columns([EMBEDDING])  # a separate dataset, so that the caller's gets no index
    indexed.add_faiss_index(EMBEDDING, metric_type=faiss.METRIC_INNER_PRODUCT)

    def search(images_QD: torch.Tensor, num_sought: int) -> torch.Tensor:
        found = indexed.search_batch(EMBEDDING, images_QD.cpu().numpy(), k=num_sought)
        return torch.from_numpy(found.total_indices)

    return search
