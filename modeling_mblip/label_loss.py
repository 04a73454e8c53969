"""The language modelling loss at label positions only, computed chunk by chunk together with its gradient.

With a vocabulary of 250,112 tokens, the logits are by far the largest tensors of a training step. We compute them for
one chunk of label tokens at a time. The forward pass also takes the chunk's gradient with respect to its hidden states
and, if the head trains, to the head's parameters, as Liger's fused linear cross-entropy does. The backward pass only
scales these gradients. The result is exact: the same sum in a different order.

A language model ends in trunk -> head module -> tail. The trunk is everything before the head, including steps such as
T5's scaling, so we run the model's own `forward` and stop it at the head. The tail is everything after the head: a
bias over the vocabulary, a soft cap, a scale. `apply_tail` repeats the tail. We check it once for each model, against
what the model itself does to a row of artificial logits, and raise if the two differ.

Shape suffixes: N = label tokens, C = those of a chunk, K = those of a block, B = rows, T = positions, D = width, V =
vocabulary; `...` = any leading dimensions.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel

IGNORE_INDEX = -100
# Logits per chunk. On a CPU, matrix products with a vocabulary of 250,112 take less time for 128 rows than
# for 64, and no less for more (benchmarks/loss_memory.py). The number for other devices is chosen, not tuned.
NUM_LOGITS_PER_CHUNK_ON_CPU = 2**25
NUM_LOGITS_PER_CHUNK_ON_DEVICE = 2**27
NUM_BLOCKS_PER_CHUNK = 8  # softmax and gradient are computed in fp32 for one block of a chunk's rows at a time
# What `logits_scaling` does: it divides the logits (Granite), multiplies them (HyperCLOVA X), or acts before the head
# (MiniCPM3). The name does not tell which; the probe does.
SCALING_POWERS = (-1, 1, 0)
SOFT_CAP_NAMES = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
PROBE_LOGIT_RANGE = 40.0  # wide enough to bend at every soft cap in use (Gemma 2 caps at 30)

LogitsOf = Callable[[torch.Tensor], torch.Tensor]


def label_loss_sum(
    hidden_ND: torch.Tensor,
    labels_N: torch.Tensor,
    logits_of: LogitsOf,
    parameters: Sequence[nn.Parameter],
    vocab_size: int,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """Sum of the cross-entropy over N label tokens, a scalar in fp32. It never holds all (N, V) logits at once.

    Args:
        hidden_ND: the inputs of the head that predict the labels.
        labels_N: token ids; none may be -100.
        logits_of: head and tail, (C, D) -> (C, V).
        parameters: the parameters that `logits_of` uses. Those that require a gradient get one.
        vocab_size: V, which determines the chunk size.
        smoothing: the share of every label that is spread evenly over all tokens (Szegedy et al. 2016, section 7), as
            torch's `label_smoothing`.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if not torch.is_grad_enabled():
        hidden_ND, trained = hidden_ND.detach(), []
    num_chunks = math.ceil(len(labels_N) / chunk_size(vocab_size, hidden_ND.device)) or 1
    size = math.ceil(len(labels_N) / num_chunks) or 1  # equal chunks
    return _LabelLossSum.apply(hidden_ND, labels_N, logits_of, size, smoothing, *trained)


def logits_loss_sum(logits: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """The same sum from existing logits (..., V) and labels (...,). A label of -100 is ignored."""
    return nn.functional.cross_entropy(
        logits.flatten(0, -2).float(),
        labels.flatten().to(logits.device),
        ignore_index=IGNORE_INDEX,
        reduction="sum",
        label_smoothing=smoothing,
    )


def chunk_size(vocab_size: int, device: torch.device) -> int:
    """Label tokens per chunk: few enough to save memory, many enough for efficient matrix products."""
    num_logits = NUM_LOGITS_PER_CHUNK_ON_CPU if device.type == "cpu" else NUM_LOGITS_PER_CHUNK_ON_DEVICE
    return max(1, num_logits // vocab_size)


class _LabelLossSum(torch.autograd.Function):
    """`forward` takes the parameters to train after its first five inputs, so that autograd sees them."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: torch.Tensor,
        labels_N: torch.Tensor,
        logits_of: LogitsOf,
        size: int,
        smoothing: float,
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
                # Pass a view: module hooks that wait for gradients (torch's FLOP counter) fail on the leaf itself.
                logits_CV = logits_of(chunk_CD.view_as(chunk_CD))
            # Write the gradient over the logits, unless autograd keeps them (the output of a tanh, for example)
            is_kept = hasattr(logits_CV.grad_fn, "_saved_result")
            gradient_CV = logits_CV.detach().clone() if is_kept else logits_CV.detach()
            total += _cross_entropy_to_gradient(gradient_CV, labels_N[rows], smoothing)
            if not is_any_wanted:
                continue
            wanted = [*trained, chunk_CD] if is_hidden_wanted else list(trained)
            found = torch.autograd.grad(logits_CV, wanted, gradient_CV)
            for gradient, part in zip(gradients, found, strict=False):
                gradient += part
            if hidden_gradient_ND is not None:
                hidden_gradient_ND[rows] = found[-1]
            del logits_CV, gradient_CV  # before the next chunk's
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
        return hidden_gradient_ND, None, None, None, None, *scaled


def _cross_entropy_to_gradient(logits_CV: torch.Tensor, labels_C: torch.Tensor, smoothing: float) -> torch.Tensor:
    """The chunk's summed cross-entropy. Replaces the logits by its gradient: softmax minus smoothed one-hot."""
    losses = []
    size = math.ceil(len(labels_C) / NUM_BLOCKS_PER_CHUNK)
    for block_KV, labels_K1 in zip(logits_CV.split(size), labels_C[:, None].split(size), strict=True):
        log_probabilities_KV = torch.log_softmax(block_KV, dim=-1, dtype=torch.float32)
        loss_K1 = -log_probabilities_KV.gather(1, labels_K1)
        if smoothing:
            loss_K1 = (1 - smoothing) * loss_K1 - smoothing * log_probabilities_KV.mean(dim=-1, keepdim=True)
        losses.append(loss_K1)
        gradient_KV = log_probabilities_KV.exp_()
        if smoothing:
            gradient_KV -= smoothing / gradient_KV.shape[1]
        gradient_KV.scatter_add_(1, labels_K1, torch.full_like(gradient_KV[:, :1], smoothing - 1.0))
        block_KV.copy_(gradient_KV)
    return torch.cat(losses).sum()


@dataclass
class HeadVisit:
    """What `stop_at_head` records in one run: the inputs of the head, (B, T, D), and the artificial logits."""

    hidden_states: torch.Tensor | None = None
    probe: torch.Tensor | None = None


def output_head(language_model: PreTrainedModel) -> nn.Module:
    """The module that turns hidden states into logits.

    Raises:
        ValueError: the language model has none, or names its embeddings instead (FSMT).
    """
    head = language_model.get_output_embeddings()
    if head is None or isinstance(head, nn.Embedding):
        raise ValueError(
            f"{type(language_model).__name__} names {type(head).__name__} as its output head, expected a module that "
            "turns hidden states into logits. Pass `skip_logits=False` to compute the loss from its own logits."
        )
    return head


def gathered_head(language_model: PreTrainedModel) -> nn.Module:
    """The output head. If FSDP has sharded its weights, they are gathered first, and stay so until the backward pass.

    All processes must come here equally often, but not the same number of chunks: a label count differs.
    """
    head: Any = output_head(language_model)
    if hasattr(head, "unshard"):  # FSDPModule, which a torch without `torch.distributed` cannot import
        head.unshard()
    return head


def apply_tail(language_model: PreTrainedModel, logits: torch.Tensor, scaling_power: int) -> torch.Tensor:
    """Apply the steps that the language model applies to the output of its head, (..., V) -> (..., V).

    The model and its config tell which: `final_logits_bias` (BART's family), `logit_scale` (Cohere), `logits_scaling`
    (Granite, HyperCLOVA X), `lm_head_multiplier` (Falcon-H1), a soft cap (Gemma, NanoChat, RecurrentGemma, xLSTM).
    `find_scaling_power` checks the result against the model itself.

    Args:
        scaling_power: logits are multiplied by `logits_scaling` to this power.
    """
    config = language_model.config.get_text_config()
    bias = getattr(language_model, "final_logits_bias", None)
    if bias is not None:
        logits = logits + bias.to(logits.device)
    for name, power in (("logit_scale", 1), ("lm_head_multiplier", 1), ("logits_scaling", scaling_power)):
        factor = getattr(config, name, None)
        if isinstance(factor, float | int):
            logits = logits * factor**power
    for name in SOFT_CAP_NAMES:
        cap = getattr(config, name, None)
        if cap is not None:
            logits = torch.tanh(logits / cap) * cap
    return logits


@contextmanager
def stop_at_head(head: nn.Module, *, with_probe: bool) -> Iterator[HeadVisit]:
    """In this context, record the inputs of the head and let the model compute at most one row of logits.

    Args:
        with_probe: replace the head's output by one row of artificial logits, and record it in `probe`. The model's
            own output then shows its tail.
    """
    visit = HeadVisit()

    def keep_hidden_states(module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        if arguments[0].ndim != 3:
            raise ValueError(
                f"The head of the language model got hidden states of shape {tuple(arguments[0].shape)}, expected "
                "(prompts, tokens, width). Pass `skip_logits=False` to compute the loss from the model's own logits."
            )
        visit.hidden_states = arguments[0]
        # A plain linear layer accepts zero rows. Quantised and adapted layers may not, so they get one.
        return (arguments[0][:, :0] if type(module) is nn.Linear and not with_probe else arguments[0][:1, :1],)

    def replace_logits(module: nn.Module, arguments: tuple[torch.Tensor, ...], logits: torch.Tensor) -> torch.Tensor:
        size = logits.shape[-1]
        row_V = torch.linspace(-PROBE_LOGIT_RANGE, PROBE_LOGIT_RANGE, size, device=logits.device, dtype=logits.dtype)
        visit.probe = row_V.view_as(logits)
        return visit.probe.clone()  # the tail may change it in place

    hooks = [head.register_forward_pre_hook(keep_hidden_states)]
    if with_probe:
        hooks.append(head.register_forward_hook(replace_logits))
    try:
        yield visit
    finally:
        for hook in hooks:
            hook.remove()


def find_scaling_power(language_model: PreTrainedModel, visit: HeadVisit, own_logits: torch.Tensor) -> int:
    """The `scaling_power` with which `apply_tail` turns the probe into the language model's own output.

    Args:
        own_logits: the language model's output for the probe, (1, 1, V).

    Raises:
        ValueError: no power fits, so the tail has a step that `apply_tail` does not know.
    """
    assert visit.probe is not None, "stop_at_head(..., with_probe=True) sets the probe"
    for power in SCALING_POWERS:
        expected = apply_tail(language_model, visit.probe, power)
        tolerance = 1e-4 if own_logits.dtype == expected.dtype == torch.float32 else 2e-2
        if own_logits.shape == expected.shape and torch.allclose(
            own_logits.float(), expected.float(), rtol=tolerance, atol=tolerance
        ):
            return power
    raise ValueError(
        f"{type(language_model).__name__} ({language_model.config.model_type}) changes the output of its head in a "
        "way that `apply_tail` does not know. Add the step there, or pass `skip_logits=False` to use its own logits."
    )


def check_image_labels(is_image_BT: torch.Tensor, gradient_BTD: torch.Tensor) -> None:
    """Refuse a foreign loss that has labels at `<image>` tokens, by the gradient of the states that predict them.

    Their id is not in the head's vocabulary. Some losses (TRL's) take it silently, and lower all logits there.

    Raises:
        ValueError: a state in front of an `<image>` token has a gradient.
    """
    if (gradient_BTD[:, :-1][is_image_BT[:, 1:].to(gradient_BTD.device)].abs() > 0).any():
        raise ValueError(
            "The labels hold `<image>` tokens, whose id is not in the vocabulary. Set them to -100: with TRL's "
            "SFTTrainer, give `prompt` and `completion` columns, or `assistant_only_loss=True`."
        )


def logits_of(language_model: PreTrainedModel, scaling_power: int) -> LogitsOf:
    """Head and tail as one function of hidden states, (..., D) -> (..., V).

    It calls the head as a module, so that an adapter or quantisation of the head takes effect. FSDP's hooks, which
    would gather its weights and end a backward pass once a chunk, are left out: `gathered_head` did their work.
    """
    head = gathered_head(language_model)
    run = head.forward if hasattr(head, "unshard") else head
    return lambda hidden_states: apply_tail(language_model, run(hidden_states), scaling_power)
