"""Log-likelihoods of tokens are looked up where they are wanted, and logits exist for a chunk of states at a time."""

from types import SimpleNamespace

import pytest
import torch

from mblip.evaluation.likelihood import candidate_scores
from mblip.evaluation.likelihood.candidate_scores import token_log_likelihoods


class Head:
    """A model of five tokens whose head is one matrix; it counts the states that it makes logits of."""

    def __init__(self):
        self.config = SimpleNamespace(
            text_config=SimpleNamespace(get_text_config=lambda: SimpleNamespace(vocab_size=5))
        )
        self.weight = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
        self.sizes = []

    def logits_from_states(self, states):
        self.sizes.append(len(states))
        return states @ self.weight


@pytest.mark.parametrize(("num_logits", "sizes"), [(1, [1, 1, 1]), (10, [2, 2, 1]), (1000, [7])])
def test_every_token_is_found_whatever_the_chunks(monkeypatch, num_logits, sizes):
    monkeypatch.setattr(candidate_scores, "NUM_LOGITS_ON_CPU", num_logits)
    head, states_ND = Head(), torch.randn(7, 3, generator=torch.Generator().manual_seed(1))
    found_P = token_log_likelihoods(head, states_ND, [0, 0, 3, 6], [4, 1, 2, 0])
    every_NV = torch.log_softmax(states_ND @ head.weight, dim=-1)
    torch.testing.assert_close(found_P, every_NV[[0, 0, 3, 6], [4, 1, 2, 0]].double())
    assert found_P.dtype == torch.float64
    assert head.sizes == sizes  # chunks in which nothing is looked up make no logits


def test_nothing_is_looked_up_where_nothing_is_wanted():
    head = Head()
    assert token_log_likelihoods(head, torch.zeros(4, 3), [], []).shape == (0,)
    assert head.sizes == []


def test_log_softmax_is_taken_in_fp32():
    head = Head()
    head.weight = head.weight.bfloat16()
    states_ND = torch.randn(2, 3, generator=torch.Generator().manual_seed(1)).bfloat16()
    expected = torch.log_softmax((states_ND @ head.weight).float(), dim=-1)[1, 2]
    assert token_log_likelihoods(head, states_ND, [1], [2]).item() == expected.item()
