"""Ranking on a CUDA device: the log-likelihoods of the CPU, from shared caches and by whole forwards."""

import pytest
import torch
from tiny import NUM_QUERY_TOKENS, tiny_model, tiny_processor

from mblip.evaluation.likelihood.ranking import rank

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CANDIDATES = ("red", "red circle", "blue", "red circle star w77")


@pytest.mark.parametrize("family", ["mt5", "bart", "bloom", "llama", "gemma2", "mamba"])
def test_log_likelihoods_are_those_of_the_cpu(family):
    model, processor = tiny_model(family), tiny_processor(family)
    features = torch.randn(2, NUM_QUERY_TOKENS, 32, generator=torch.Generator().manual_seed(0))
    prompts, rows = ["caption", "what colour is the star", "answer"], [(0,), (1, 0), ()]
    expected, found = (
        rank(model.to(device), processor, prompts, CANDIDATES, image_features=features.to(device), image_rows=rows)
        for device in ("cpu", "cuda")
    )
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.log_likelihoods.device.type == "cpu"
        torch.testing.assert_close(mine.log_likelihoods, theirs.log_likelihoods, rtol=1e-4, atol=0)
