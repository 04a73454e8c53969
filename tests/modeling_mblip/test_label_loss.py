"""The chunked loss equals the plain one: the sum, and every gradient, in any chunk size and precision."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from modeling_mblip import label_loss
from modeling_mblip.label_loss import chunk_size, label_loss_sum, logits_loss_sum

WIDTH, VOCAB_SIZE, NUM_LABELS = 6, 11, 7


@pytest.fixture
def head():
    torch.manual_seed(0)
    return nn.Linear(WIDTH, VOCAB_SIZE)


def hidden_and_labels(dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    hidden_ND = torch.randn(NUM_LABELS, WIDTH, generator=generator).to(dtype).requires_grad_()
    return hidden_ND, torch.randint(0, VOCAB_SIZE, (NUM_LABELS,), generator=generator)


def plain(hidden_ND, labels_N, head, smoothing=0.0):
    logits_NV = torch.tanh(head(hidden_ND)).float()
    return nn.functional.cross_entropy(logits_NV, labels_N, reduction="sum", label_smoothing=smoothing)


def chunked(hidden_ND, labels_N, head, smoothing=0.0):
    parameters = list(head.parameters())
    return label_loss_sum(hidden_ND, labels_N, lambda h: torch.tanh(head(h)), parameters, VOCAB_SIZE, smoothing)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("tokens_per_chunk", [1, 3, 7, 100])
def test_loss_and_gradients_equal_the_plain_formula(head, monkeypatch, tokens_per_chunk, smoothing):
    monkeypatch.setattr(label_loss, "NUM_LOGITS_PER_CHUNK_ON_CPU", tokens_per_chunk * VOCAB_SIZE)
    hidden_ND, labels_N = hidden_and_labels()
    wanted = [hidden_ND, head.weight, head.bias]
    expected = plain(hidden_ND, labels_N, head, smoothing)
    expected_gradients = torch.autograd.grad(expected / 3, wanted)
    loss = chunked(hidden_ND, labels_N, head, smoothing)
    gradients = torch.autograd.grad(loss / 3, wanted)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradients, expected_gradients)


@pytest.mark.parametrize("frozen", ["head", "hidden"])
def test_what_is_frozen_gets_no_gradient_and_the_rest_gets_its_own(head, frozen):
    hidden_ND, labels_N = hidden_and_labels()
    if frozen == "head":
        head.requires_grad_(False)
    else:
        hidden_ND = hidden_ND.detach()
    chunked(hidden_ND, labels_N, head).backward()
    assert (head.weight.grad is None) == (frozen == "head")
    assert (hidden_ND.grad is None) == (frozen == "hidden")


def test_a_head_that_trains_in_part_gets_that_part(head):
    head.weight.requires_grad_(False)
    hidden_ND, labels_N = hidden_and_labels()
    (expected,) = torch.autograd.grad(plain(hidden_ND, labels_N, head), [head.bias])
    chunked(hidden_ND, labels_N, head).backward()
    assert head.weight.grad is None
    torch.testing.assert_close(head.bias.grad, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_states_keep_their_dtype_and_the_loss_is_fp32(head, dtype):
    head.to(dtype)
    hidden_ND, labels_N = hidden_and_labels(dtype)
    expected = plain(hidden_ND, labels_N, head)
    (expected_gradient,) = torch.autograd.grad(expected, [hidden_ND])
    loss = chunked(hidden_ND, labels_N, head)
    (gradient,) = torch.autograd.grad(loss, [hidden_ND])
    assert loss.dtype == torch.float32
    assert gradient.dtype == dtype
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(gradient, expected_gradient, rtol=2e-2, atol=2e-2)


def test_a_loss_scaled_before_the_backward_pass_is_scaled_in_fp16_too(head):
    """The gradient of the sum is kept, so dividing by a large number of items does not lose it on the way."""
    head.half()
    hidden_ND, labels_N = hidden_and_labels(torch.float16)
    (chunked(hidden_ND, labels_N, head) / 1e6 * 1e6).backward()
    gradient, hidden_ND.grad = hidden_ND.grad, None
    chunked(hidden_ND, labels_N, head).backward()
    torch.testing.assert_close(gradient, hidden_ND.grad, rtol=1e-2, atol=1e-3)


def test_without_gradients_the_loss_is_the_same(head):
    hidden_ND, labels_N = hidden_and_labels()
    with torch.no_grad():
        loss = chunked(hidden_ND, labels_N, head)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, plain(hidden_ND, labels_N, head).detach())


def test_no_label_at_all_is_a_loss_of_zero_with_zero_gradients(head):
    hidden_ND, labels_N = hidden_and_labels()
    loss = chunked(hidden_ND[:0], labels_N[:0], head)
    loss.backward()
    assert loss.item() == 0
    assert not head.weight.grad.any()


def test_no_tensor_of_all_logits_is_ever_made(head, monkeypatch):
    monkeypatch.setattr(label_loss, "NUM_LOGITS_PER_CHUNK_ON_CPU", 2 * VOCAB_SIZE)
    hidden_ND, labels_N = hidden_and_labels()
    rows = []
    head.register_forward_hook(lambda module, arguments, logits: rows.append(len(logits)))
    chunked(hidden_ND, labels_N, head).backward()
    assert rows == [2, 2, 2, 1]


def test_logits_that_exist_give_the_same_sum_and_skip_minus_100(head):
    hidden_ND, labels_N = hidden_and_labels()
    labels_N[2] = -100
    keep = labels_N != -100
    logits = torch.tanh(head(hidden_ND))
    torch.testing.assert_close(logits_loss_sum(logits, labels_N), plain(hidden_ND[keep], labels_N[keep], head))


def test_a_chunk_over_the_vocabulary_of_mt0_is_a_hundred_tokens_and_more():
    assert chunk_size(250_112, torch.device("cpu")) == 134
    assert chunk_size(10**9, torch.device("cpu")) == 1


def test_operations_are_counted_through_the_chunked_loss(head):
    """torch's counter hooks the head; forward, the hidden states' gradient and the weight's are one product each."""
    hidden_ND, labels_N = hidden_and_labels()
    with FlopCounterMode(display=False) as counter:
        chunked(hidden_ND, labels_N, head).backward()
    assert counter.get_total_flops() == 3 * 2 * NUM_LABELS * WIDTH * VOCAB_SIZE
