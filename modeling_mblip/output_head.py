"""Where a language model's hidden states meet its vocabulary, for any model of transformers.

A language model's last steps are trunk -> head module -> tail. The trunk includes whatever precedes the head (T5
scales there), so it is run as the model's own `forward`, stopped at the head's door. The tail is what follows the
head: a bias over the vocabulary, a soft cap, a scale. It is written down here, and compared once with what the model
itself makes of a row of made-up logits: a tail that is not known raises, whatever the model.

Shape suffixes: B = rows, T = positions, D = width, V = vocabulary; `...` = any leading dimensions.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel

# What `logits_scaling` does to logits: it divides them (Granite), multiplies them (HyperCLOVA X), or was used before
# the head (MiniCPM3). The name does not tell; the probe does.
SCALING_POWERS = (-1, 1, 0)
SOFT_CAP_NAMES = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
PROBE_LOGIT_RANGE = 40.0  # wide enough to bend at every soft cap in use (Gemma 2 caps at 30)


@dataclass
class HeadVisit:
    """What one run of the language model left at its head: hidden states as they came in, (B, T, D), and the probe."""

    hidden_states: torch.Tensor | None = None
    probe: torch.Tensor | None = None


def output_head(language_model: PreTrainedModel) -> nn.Module:
    """The module that turns hidden states into logits.

    Raises:
        ValueError: the language model has none, or names its embeddings instead (FSMT), which never see hidden states.
    """
    head = language_model.get_output_embeddings()
    if head is None or isinstance(head, nn.Embedding):
        raise ValueError(
            f"{type(language_model).__name__} names {type(head).__name__} as its output head, so there is no module "
            "to call for logits chunk by chunk. Pass `skip_logits=False` to compute the loss from its own logits."
        )
    return head


def apply_tail(language_model: PreTrainedModel, logits: torch.Tensor, scaling_power: int) -> torch.Tensor:
    """What the language model does to the output of its head, (..., V) -> (..., V).

    The steps are read off the model: a `final_logits_bias` (BART's family), `logit_scale` (Cohere), `logits_scaling`
    (Granite, HyperCLOVA X), `lm_head_multiplier` (Falcon-H1), a soft cap (Gemma, NanoChat, RecurrentGemma, xLSTM).
    `find_scaling_power` holds them against the model itself.

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
    """Within this context the language model hands its hidden states over at the head and makes (next to) no logits.

    Args:
        with_probe: replace the head's output by one row of made-up logits, left in `probe`: the model's own output
            then shows its tail.
    """
    visit = HeadVisit()

    def keep_hidden_states(module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        if arguments[0].ndim != 3:
            raise ValueError(
                f"The language model hands its head hidden states of shape {tuple(arguments[0].shape)}, expected "
                "(prompts, tokens, width). Pass `skip_logits=False` to compute the loss from its own logits."
            )
        visit.hidden_states = arguments[0]
        # A plain linear layer takes an empty batch for nothing; quantised and adapted layers need not.
        return (arguments[0][:, :0] if type(module) is nn.Linear and not with_probe else arguments[0][:1, :1],)

    def replace_logits(module: nn.Module, arguments: tuple[torch.Tensor, ...], logits: torch.Tensor) -> torch.Tensor:
        size = logits.shape[-1]
        row_V = torch.linspace(-PROBE_LOGIT_RANGE, PROBE_LOGIT_RANGE, size, device=logits.device, dtype=logits.dtype)
        visit.probe = row_V.view_as(logits)
        return visit.probe.clone()  # the tail may work in place

    hooks = [head.register_forward_pre_hook(keep_hidden_states)]
    if with_probe:
        hooks.append(head.register_forward_hook(replace_logits))
    try:
        yield visit
    finally:
        for hook in hooks:
            hook.remove()


def check_visit(language_model: PreTrainedModel, visit: HeadVisit) -> torch.Tensor:
    """The hidden states of a visit, (B, T, D).

    Raises:
        ValueError: the language model ran without calling its head.
    """
    if visit.hidden_states is None:
        raise ValueError(
            f"{type(language_model).__name__} made logits without calling the head that `get_output_embeddings()` "
            "names, so the chunked loss cannot stop there. Pass `skip_logits=False` to compute the loss from its own "
            "logits."
        )
    return visit.hidden_states


def find_scaling_power(language_model: PreTrainedModel, visit: HeadVisit, own_logits: torch.Tensor) -> int:
    """Compare `apply_tail` with what the language model itself made of the probe, and return the power that fits.

    Args:
        own_logits: the language model's output, (1, 1, V).

    Raises:
        ValueError: none does: this language model ends in a step that is not known here.
    """
    assert visit.probe is not None, "the probe is left by stop_at_head(..., with_probe=True)"
    for power in SCALING_POWERS:
        expected = apply_tail(language_model, visit.probe, power)
        tolerance = 1e-4 if own_logits.dtype == expected.dtype == torch.float32 else 2e-2
        if own_logits.shape == expected.shape and torch.allclose(
            own_logits.float(), expected.float(), rtol=tolerance, atol=tolerance
        ):
            return power
    raise ValueError(
        f"{type(language_model).__name__} ({language_model.config.model_type}) changes the output of its head in a "
        "way that is not known here, so the chunked loss would be wrong. Pass `skip_logits=False` to compute the loss "
        "from its own logits, or add the step to `apply_tail`."
    )


LogitsOf = Callable[[torch.Tensor], torch.Tensor]


def logits_of(language_model: PreTrainedModel, scaling_power: int) -> LogitsOf:
    """Head and tail as one function of hidden states, (..., D) -> (..., V).

    It calls the head module, never its weight.
    """
    head = output_head(language_model)
    return lambda hidden_states: apply_tail(language_model, head(hidden_states), scaling_power)
