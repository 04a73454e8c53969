"""The captions nearest to an image come in one order, whatever searches."""

import numpy as np
import pytest
import torch

from mblip.mix.filters import nearest_captions
from mblip.mix.filters.embeddings import embeddings_of
from mblip.mix.filters.nearest_captions import NearestCaptions
from tests.mix.filters.tiny_embeddings import caption, made_up_store, on_circle, store_captions


@pytest.fixture(params=["torch", "faiss"])
def engine(request):
    if request.param == "faiss":
        pytest.importorskip("faiss", reason="FAISS is not installed: `pip install faiss-cpu`")
    return request.param


def test_the_captions_come_in_the_order_of_their_similarity_and_equal_ones_by_row(tmp_path, monkeypatch, engine):
    monkeypatch.setattr(nearest_captions, "CAPTIONS_AT_ONCE", 50)
    monkeypatch.setattr(nearest_captions, "NUMBERS_AT_ONCE", 3000)
    monkeypatch.setattr(nearest_captions, "NUM_MORE", 1)
    images, captions, _ = made_up_store(tmp_path)
    similarities = embeddings_of(images).astype(np.float64) @ embeddings_of(captions).astype(np.float64).T
    similarities = similarities.round(12)  # equal embeddings, equal similarity
    expected = np.lexsort((np.arange(180)[None].repeat(60, 0), -similarities), axis=1)
    nearest = NearestCaptions(captions, engine=engine)
    for num_wanted in (1, 7, 60, 180):
        found = nearest.ranked(torch.tensor(embeddings_of(images)), num_wanted)
        np.testing.assert_array_equal(found.numpy(), expected[:, :num_wanted])


def test_a_crowd_of_equal_captions_is_ordered_by_row_whatever_searches(tmp_path, engine):
    embeddings = on_circle([10] * 300 + [0] + [10] * 300)
    captions = store_captions(tmp_path / "captions", [caption(i, "a dog") for i in range(601)], embeddings)
    found = NearestCaptions(captions, engine=engine).ranked(torch.tensor(on_circle([0])), 5)
    assert found.tolist() == [[300, 0, 1, 2, 3]]


def test_more_captions_than_there_are_cannot_be_ranked(tmp_path):
    captions = store_captions(tmp_path / "captions", [caption(0, "a dog")], on_circle([0]))
    with pytest.raises(ValueError, match="Found 1 captions, expected at least 2"):
        NearestCaptions(captions).ranked(torch.tensor(on_circle([0])), 2)
