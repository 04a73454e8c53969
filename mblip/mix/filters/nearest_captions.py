"""The captions most similar to an image, in an order that does not depend on what searches.

Two engines search: FAISS through `datasets` (a flat index, so it too looks at every caption), and torch, on a GPU if
wanted. Both sum in float32, in an order of their own, so captions that are nearly equally similar may come out
exchanged, and equal captions in any order. Therefore some more than wanted are searched for, their similarities are
computed again in float64, and they are sorted, equal ones by row; where the last one found is so similar to the last
one wanted that rounding may have kept another out, more are searched for.

Letters at the end of names: Q = images asked about, N = captions, K = captions found, D = width of an embedding.
"""

from collections.abc import Callable
from typing import Any, Literal

import datasets
import torch

from .embeddings import EMBEDDING, embeddings_of

SearchEngine = Literal["faiss", "torch"]

NUM_MORE = 32  # captions searched for beyond those wanted
CAPTIONS_AT_ONCE = 16_384  # whose similarities are held
NUMBERS_AT_ONCE = 1 << 18  # of embeddings in float64: 2 MB, which stay in the processor's cache
TOLERANCE = 1e-4  # more than twice the rounding error of an inner product in float32, of vectors of length 1


class NearestCaptions:
    """Captions to search in. Their embeddings lie in memory, N x D x 4 bytes, with FAISS twice."""

    def __init__(
        self, captions: datasets.Dataset, *, engine: SearchEngine = "torch", device: str | torch.device = "cpu"
    ) -> None:
        """
        Args:
            captions: rows with embeddings of length 1.
            device: where torch searches; FAISS searches on the CPU.

        Raises:
            ImportError: FAISS is wanted, but not installed.
        """
        self._embeddings_ND = torch.tensor(embeddings_of(captions), device=device)
        self._search = _faiss_search(captions) if engine == "faiss" else self._search_with_torch

    def ranked(self, images_QD: torch.Tensor, num_wanted: int) -> torch.Tensor:
        """The rows of the captions most similar to each image, the most similar first: (Q, K), K = `num_wanted`.

        Raises:
            ValueError: more captions are wanted than there are.
        """
        num_captions = len(self._embeddings_ND)
        if num_wanted > num_captions:
            raise ValueError(f"{num_wanted} captions are wanted, but there are {num_captions}.")
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
        """Similarities in float64 and rows, (Q, K) each, the most similar first and equal ones by row."""
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
            "Searching with FAISS takes FAISS, which is not installed: `pip install faiss-cpu`, "
            "or search with torch (engine='torch')."
        ) from error
    indexed: Any = captions.select_columns([EMBEDDING])  # a dataset of its own: the index stays out of the caller's
    indexed.add_faiss_index(EMBEDDING, metric_type=faiss.METRIC_INNER_PRODUCT)

    def search(images_QD: torch.Tensor, num_sought: int) -> torch.Tensor:
        found = indexed.search_batch(EMBEDDING, images_QD.cpu().numpy(), k=num_sought)
        return torch.from_numpy(found.total_indices)

    return search
