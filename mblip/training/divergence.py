"""Numbers that are not finite (nan, inf), in weights and in training.

No model folder, adapter or checkpoint is written with such weights. Training skips an optimizer step whose loss
or gradient is not finite, so the weights stay as they were, and ends after a few in a row, or if it is the last one.
"""

import math
from collections.abc import Iterable

import torch
from torch import nn

# Steps in a row. Training in fp16 begins with a gradient scale of 2**16, and halves it at each such step until its
# gradients fit; below a scale of 1, none will. In other dtypes no such step is right, but a single row may bring one.
MAX_STEPS, MAX_STEPS_FP16 = 3, 20


def check_finite(weights: Iterable[tuple[str, torch.Tensor]], what: str, hint: str) -> None:
    """Raise ValueError if a tensor is not finite. The message names the first one and their number.

    Args:
        weights: names and tensors. Integers, such as quantised weights, are not looked at.
        what: what holds the weights, for the message.
        hint: what to do, a sentence.
    """
    if broken := [name for name, weight in weights if not math.isfinite(_largest(weight))]:
        others = f", as do {len(broken) - 1} other tensors" if len(broken) > 1 else ""
        raise ValueError(f"`{broken[0]}` of {what} holds values that are not finite (nan or inf){others}. {hint}")


def describe_largest(model: nn.Module) -> str:
    """The trained parameter with the largest value, in words; or any parameter that is not finite."""
    sizes = {name: (_largest(parameter), parameter.requires_grad) for name, parameter in model.named_parameters()}
    trained = {name: size for name, (size, is_trained) in sizes.items() if is_trained or not math.isfinite(size)}
    name, size = max(trained.items(), key=lambda each: math.inf if math.isnan(each[1]) else each[1])
    return f"the largest weight is {size:.3g}, in `{name}`"


def describe_gradients(model: nn.Module) -> str:
    """The gradients that are not finite, in words; "" if there are none. The backward pass comes to the last first."""
    gradients = ((name, parameter.grad) for name, parameter in model.named_parameters() if parameter.grad is not None)
    broken = [name for name, gradient in gradients if not math.isfinite(_largest(gradient))]
    return f", gradients not finite in {len(broken)} parameters, first in `{broken[-1]}`" if broken else ""


def _largest(weight: torch.Tensor) -> float:
    """The largest absolute value; nan or inf if one is not finite. It needs no memory, unlike `isfinite`."""
    if not weight.numel() or not weight.is_floating_point():
        return 0.0
    return max(map(abs, torch.stack(weight.detach().aminmax()).tolist()))
