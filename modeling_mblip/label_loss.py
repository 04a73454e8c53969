"""The language modelling loss where labels stand, chunk by chunk, with the gradient taken in the same pass.

Over 250,112 words the logits are by far the largest tensors of a training step. Here they exist for one chunk of label
tokens at a time: each chunk's gradient with respect to its hidden states (and to the head's parameters, where those
train) is taken at once, as Liger's fused linear cross-entropy does, and the backward pass only scales it. The result
is exact: the same sum, in another order.

Shape suffixes: N = label tokens, C = label tokens of a chunk, D = width, V = vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from .output_head import LogitsOf

IGNORE_INDEX = -100
# Chunk sizes by the number of logits a chunk makes: chosen, not tuned; benchmarks/loss_memory.py times them.
NUM_LOGITS_PER_CHUNK_ON_CPU = 2**24
NUM_LOGITS_PER_CHUNK_ON_DEVICE = 2**27


def label_loss_sum(
    hidden_ND: torch.Tensor,
    labels_N: torch.Tensor,
    logits_of: LogitsOf,
    parameters: Sequence[nn.Parameter],
    num_words: int,
) -> torch.Tensor:
    """Sum of the cross-entropy over N label tokens, a scalar in fp32, without ever holding (N, V) logits.

    Args:
        hidden_ND: hidden states that predict the labels, as the head takes them.
        labels_N: word ids; none may be -100.
        logits_of: head and tail, (C, D) -> (C, V).
        parameters: what `logits_of` uses and may train; those that require a gradient get it.
        num_words: V, which decides the size of a chunk.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if not torch.is_grad_enabled():
        hidden_ND, trained = hidden_ND.detach(), []
    return _LabelLossSum.apply(hidden_ND, labels_N, logits_of, chunk_size(num_words, hidden_ND.device), *trained)


def logits_loss_sum(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The same sum from logits that exist already: (..., V) and (...,), where -100 marks what is no label."""
    return nn.functional.cross_entropy(
        logits.flatten(0, -2).float(), labels.flatten().to(logits.device), ignore_index=IGNORE_INDEX, reduction="sum"
    )


def chunk_size(num_words: int, device: torch.device) -> int:
    """Label tokens per chunk: few enough to stay small, many enough to keep the matrix products busy."""
    num_logits = NUM_LOGITS_PER_CHUNK_ON_CPU if device.type == "cpu" else NUM_LOGITS_PER_CHUNK_ON_DEVICE
    return max(1, num_logits // num_words)


class _LabelLossSum(torch.autograd.Function):
    """Inputs after the first four are the parameters whose gradients are wanted."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: torch.Tensor,
        labels_N: torch.Tensor,
        logits_of: LogitsOf,
        size: int,
        *trained: nn.Parameter,
    ) -> torch.Tensor:
        is_hidden_wanted, is_any_wanted = ctx.needs_input_grad[0], any(ctx.needs_input_grad)
        total = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        hidden_gradient_ND = torch.zeros_like(hidden_ND) if is_hidden_wanted else None
        gradients = [torch.zeros_like(parameter, dtype=torch.float32) for parameter in trained]
        for start in range(0, len(labels_N), size):
            rows = slice(start, start + size)
            chunk_CD = hidden_ND[rows].detach().requires_grad_(is_hidden_wanted)
            with torch.set_grad_enabled(is_any_wanted):
                # Through a view: module hooks that wait for gradients (torch's FLOP counter) refuse leaves asked for.
                logits_CV = logits_of(chunk_CD.view_as(chunk_CD))
            loss, logits_gradient_CV = _cross_entropy_and_gradient(logits_CV.detach(), labels_N[rows], is_any_wanted)
            total += loss
            if not is_any_wanted:
                continue
            wanted = [*trained, chunk_CD] if is_hidden_wanted else list(trained)
            found = torch.autograd.grad(logits_CV, wanted, logits_gradient_CV)
            for gradient, part in zip(gradients, found, strict=False):
                gradient += part
            if hidden_gradient_ND is not None:
                hidden_gradient_ND[rows] = found[-1]
        ctx.save_for_backward(hidden_gradient_ND, *gradients)
        ctx.dtypes = [parameter.dtype for parameter in trained]
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factor: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden_gradient_ND, *gradients = ctx.saved_tensors
        if hidden_gradient_ND is not None:
            hidden_gradient_ND = (hidden_gradient_ND * factor).to(hidden_gradient_ND.dtype)
        scaled = [(gradient * factor).to(dtype) for gradient, dtype in zip(gradients, ctx.dtypes, strict=True)]
        return hidden_gradient_ND, None, None, None, *scaled


def _cross_entropy_and_gradient(
    logits_CV: torch.Tensor, labels_C: torch.Tensor, is_gradient_wanted: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The chunk's summed cross-entropy, and softmax minus one-hot in the logits' dtype."""
    log_probabilities_CV = torch.log_softmax(logits_CV, dim=-1, dtype=torch.float32)
    loss = -log_probabilities_CV.gather(1, labels_C[:, None]).sum()
    if not is_gradient_wanted:
        return loss, None
    gradient_CV = log_probabilities_CV.exp_()
    gradient_CV.scatter_add_(1, labels_C[:, None], torch.full_like(gradient_CV[:, :1], -1.0))
    return loss, gradient_CV.to(logits_CV.dtype)
