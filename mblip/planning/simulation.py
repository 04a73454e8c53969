"""Counts memory and floating-point operations of a model's own code, without weights and without computing.

Weights and activations are torch's fake tensors, which have shapes but no values. Token ids, masks and labels are
real, because the model's code branches on them. `Counting` sees every operation that torch runs, also in the backward
pass and when a layer is recomputed. It knows which storages are alive, so it finds the peak, and what it consists of.

It does not see what kernels and allocators take on top: workspace, fragmentation, the CUDA context.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from unittest import mock

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

from modeling_mblip import MBlipForConditionalGeneration, label_loss, modeling_mblip

aten = torch.ops.aten
CPU, GPU = torch.device("cpu"), torch.device("cuda")
TOWER, QFORMER, LANGUAGE_MODEL, HEAD = "vision model", "Q-Former", "language model", "head and loss"
FORWARD, BACKWARD, RECOMPUTATION = "forward", "backward", "recomputation"
PARTS, PHASES = (TOWER, QFORMER, LANGUAGE_MODEL, HEAD), (FORWARD, BACKWARD, RECOMPUTATION)
GRADIENTS, OPTIMIZER, INPUTS = "gradients", "optimizer", "inputs"
FEW_NUMBERS = 2**16  # real tensors that code makes by itself stay real up to this size; longer ones need no values
FUSED_ATTENTION = aten._scaled_dot_product_flash_attention_for_cpu
FUSED_ATTENTION_BACKWARD = aten._scaled_dot_product_flash_attention_for_cpu_backward
# What autocast computes in fp32 on a GPU, but not on a CPU, where we run it.
FP32_ON_GPU = {
    nn.functional.layer_norm,
    nn.functional.group_norm,
    nn.functional.softmax,
    nn.functional.log_softmax,
    torch.softmax,
    torch.log_softmax,
    torch.Tensor.softmax,
    torch.Tensor.log_softmax,
    torch.cumsum,
    torch.Tensor.cumsum,
    torch.Tensor.sum,
    torch.sum,
}


@dataclass
class Cost:
    """What a run takes.

    Args:
        flops: floating-point operations by (part, phase). A multiplication and an addition are two.
        memory: bytes alive at the peak, by what they are.
    """

    flops: Counter[tuple[str, str]] = field(default_factory=Counter)
    memory: Counter[str] = field(default_factory=Counter)

    @property
    def total_flops(self) -> int:
        return self.flops.total()

    @property
    def peak_bytes(self) -> int:
        return self.memory.total()


class Counting(TorchDispatchMode):
    """While it is entered, counts storages and operations of everything that runs."""

    def __init__(self, fake: FakeTensorMode | None) -> None:
        super().__init__()
        self.fake = fake
        self.cost = Cost()
        self.parts: list[str] = []  # the modules under way, from outside to inside
        self.backward_part = LANGUAGE_MODEL
        self.depth = 0  # of the modules under way
        self.labels: dict[int, tuple[str, int, Any]] = {}  # id of a live storage -> its label, bytes, weak reference
        self.alive: Counter[str] = Counter()
        self.total = 0

    def keep(self, tensor: torch.Tensor, label: str) -> None:
        """Count a tensor's storage under a label, from now until it is freed."""
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        if key in self.labels:
            old, size, reference = self.labels[key]
            self.alive[old] -= size
            self.labels[key] = label, size, reference
            self.alive[label] += size
            return
        self.labels[key] = label, size, weakref.ref(storage, lambda _: self._drop(key))
        self.alive[label] += size
        self.total += size
        if self.total > self.cost.peak_bytes:
            self.cost.memory = self.alive.copy()

    def _drop(self, key: int) -> None:
        label, size, _ = self.labels.pop(key)
        self.alive[label] -= size
        self.total -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.prim.device.default:  # two of three calls, which allocate nothing
            return args[0].fake_device if isinstance(args[0], FakeTensor) else func(*args)
        kwargs = kwargs or {}
        given = [each for each in tree_iter((args, kwargs)) if isinstance(each, torch.Tensor)]
        if self.fake is not None and any(isinstance(each, FakeTensor) for each in given):
            if func is aten.index.Tensor:
                args = (args[0], _positions(args[1]))
            with self.fake:
                result = func(*args, **kwargs)
        elif self.fake is not None and not given and _is_long(args):
            with self.fake:
                result = func(*args, **kwargs)
        else:
            result = func(*args, **kwargs)
        held = {id(each.untyped_storage()) for each in given}
        label = f"activations: {self.part}"
        for each in tree_iter(result):
            if isinstance(each, torch.Tensor) and id(each.untyped_storage()) not in held | self.labels.keys():
                self.keep(each, label)
        if (count := _flop_counts(func._overloadpacket)) is not None:
            self.cost.flops[self.part, self.phase] += count(*args, **kwargs, out_val=result)
        return result

    @property
    def phase(self) -> str:
        if torch._C._current_graph_task_id() == -1:
            return FORWARD
        return RECOMPUTATION if self.depth and self.part != HEAD else BACKWARD  # the loss takes its gradient at once

    @property
    def part(self) -> str:
        """The part that an operation belongs to. In a backward pass, the last one whose output got its gradient."""
        return self.parts[-1] if self.parts else self.backward_part

    @contextmanager
    def watching(self, model: MBlipForConditionalGeneration) -> Iterator[Self]:
        """Count everything that runs in this context by the parts of this model, whose weights are counted, too."""
        parts = {
            model.vision_model: TOWER,
            model.qformer: QFORMER,
            model.language_projection: QFORMER,
            model.language_model: LANGUAGE_MODEL,
            label_loss.output_head(model.language_model): HEAD,
        }
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            self.keep(tensor, f"weights: {part_of(name)}")

        def begin(module: nn.Module, arguments: Any) -> None:
            self.depth += 1
            if module in parts:
                self.parts.append(parts[module])

        def end(module: nn.Module, arguments: Any, output: Any) -> None:
            self.depth -= 1
            if module in parts:
                self.parts.pop()
            if module is model.language_projection and output.requires_grad:
                output.register_hook(lambda _: setattr(self, "backward_part", QFORMER))
            if module is model.vision_model and output is not None and output[0].requires_grad:
                output[0].register_hook(lambda _: setattr(self, "backward_part", TOWER))

        def loss(*inputs: Any) -> torch.Tensor:
            self.parts.append(HEAD)
            try:
                return label_loss_sum(*inputs)
            finally:
                self.parts.pop()

        def check_real(inputs: Mapping[str, Any], *others: Any, **options: Any) -> None:
            real = {name: value for name, value in inputs.items() if not isinstance(value, FakeTensor)}
            check_inputs(real, *others, **options)

        label_loss_sum, check_inputs = modeling_mblip.label_loss_sum, modeling_mblip.check_inputs
        with ExitStack() as stack:
            stack.enter_context(mock.patch.object(modeling_mblip, "label_loss_sum", loss))
            stack.enter_context(mock.patch.object(modeling_mblip, "check_inputs", check_real))
            hooks = [
                nn.modules.module.register_module_forward_pre_hook(begin),
                nn.modules.module.register_module_forward_hook(end, always_call=True),
            ]
            for hook in hooks:
                stack.callback(hook.remove)
            stack.enter_context(self)
            yield self


class Kernels(TorchFunctionMode):
    """The attention and, with `is_gpu`, the fp32 operations of autocast as the device to plan for runs them."""

    def __init__(self, *, is_gpu: bool) -> None:
        super().__init__()
        self.is_gpu = is_gpu

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is nn.functional.scaled_dot_product_attention and isinstance(args[0], FakeTensor):
            return self._attend(*args, **kwargs)
        if self.is_gpu and func in FP32_ON_GPU and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return func(*map(_as_fp32, args), **{name: _as_fp32(value) for name, value in kwargs.items()})
        return func(*args, **kwargs)

    def _attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        if torch.is_autocast_enabled("cpu"):
            query, key, value = (each.to(torch.get_autocast_dtype("cpu")) for each in (query, key, value))
        options: dict[str, Any] = {"dropout_p": dropout_p, "is_causal": is_causal, "scale": scale}
        if not (self.is_gpu or _is_fused_on_cpu(query, key, value, attn_mask, options | {"enable_gqa": enable_gqa})):
            with torch._C.DisableTorchFunction():
                return nn.functional.scaled_dot_product_attention(
                    query, key, value, attn_mask, enable_gqa=enable_gqa, **options
                )
        if attn_mask is not None:
            attn_mask = attn_mask.detach()  # T5's bias for cross-attention wants a gradient; a GPU's kernel gives it
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(~attn_mask, float("-inf"))
        return FUSED_ATTENTION(query, key, value, attn_mask=attn_mask, **options)[0]


def make_fake(model: nn.Module) -> FakeTensorMode:
    """Replace the weights of a model on the meta device by fake ones on the CPU, in place."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    made: dict[int, torch.Tensor] = {}  # tied weights stay tied
    for module in model.modules():
        stores: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
        for tensors in stores:
            for name, old in tensors.items():
                if old is None or isinstance(old, FakeTensor):
                    continue
                if id(old) not in made:
                    fake = FakeTensor(mode, old.detach().to("meta"), CPU)
                    is_weight = isinstance(old, nn.Parameter)
                    made[id(old)] = nn.Parameter(fake, requires_grad=old.requires_grad) if is_weight else fake
                tensors[name] = made[id(old)]
    return mode


@contextmanager
def as_on(device: torch.device) -> Iterator[None]:
    """Run kernels, and chunks of the loss, as on this device."""
    chunk_size = label_loss.chunk_size
    with (
        Kernels(is_gpu=device.type == "cuda"),
        mock.patch.object(label_loss, "chunk_size", lambda vocab_size, _: chunk_size(vocab_size, device)),
    ):
        yield


def part_of(name: str) -> str:
    """The part that a parameter belongs to."""
    if "language_model." in name:
        return LANGUAGE_MODEL
    return TOWER if "vision_model." in name else QFORMER


def _positions(indices: Any) -> list[Any]:
    """The indices of an operation, with real masks as the positions they choose, whose number is known."""
    found: list[Any] = []
    for index in indices:
        is_mask = index is not None and index.dtype == torch.bool and not isinstance(index, FakeTensor)
        found += index.nonzero(as_tuple=True) if is_mask else [index]
    return found


def _is_long(args: Any) -> bool:
    """Whether a call without tensors makes a long tensor, such as `torch.zeros`."""
    sizes = args[0] if args and isinstance(args[0], list | tuple | torch.Size) else ()
    return all(isinstance(size, int) for size in sizes) and torch.Size(sizes).numel() > FEW_NUMBERS


def _is_fused_on_cpu(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    options: dict[str, Any],
) -> bool:
    """What torch itself says about tensors of these shapes. Their memory is never touched, so it takes none."""
    with torch.utils._python_dispatch._disable_current_modes():
        likes: Any = [
            None if each is None else torch.empty(each.shape, dtype=each.dtype, requires_grad=each.requires_grad)
            for each in (query, key, value, mask)
        ]
        return torch._fused_sdp_choice(*likes, **options) == torch.nn.attention.SDPBackend.FLASH_ATTENTION.value


def _as_fp32(value: Any) -> Any:
    return value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


def _attention_backward_flops(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(gradient.shape, query.shape, key.shape, value.shape)


CPU_ATTENTION: dict[Any, Callable[..., int]] = {  # torch counts those of CUDA alone
    FUSED_ATTENTION: _attention_flops,
    FUSED_ATTENTION_BACKWARD: _attention_backward_flops,
}


def _flop_counts(packet: Any) -> Callable[..., int] | None:
    return CPU_ATTENTION.get(packet) or flop_registry.get(packet)
