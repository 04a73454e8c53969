"""Every damage of a valid batch gives a finite result, a ValueError or a TypeError, from `forward` and `generate`."""

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.outcomes import attempted
from tests.tiny import tiny_batch, tiny_model

MODELS = {family: tiny_model(family) for family in ("mt5", "bloom")}
LONG = 10**6
WHOLE = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool]
DTYPES = [*WHOLE, torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64]


def with_value(value: float) -> Callable[[torch.Tensor], Any]:
    """Put a value at the first position."""
    return lambda tensor: tensor.clone().index_put_((torch.tensor([0]),) * tensor.ndim, torch.tensor(value).to(tensor))


DAMAGES: dict[str, Callable[[torch.Tensor], Any]] = {
    "left out": lambda tensor: None,
    "a list": torch.Tensor.tolist,
    "an array": torch.Tensor.numpy,
    "a string": str,
    "a number": lambda tensor: 3,
    "two of them": lambda tensor: (tensor, tensor),
    **{str(dtype): lambda tensor, dtype=dtype: tensor.to(dtype) for dtype in DTYPES},
    "meta": lambda tensor: tensor.to("meta"),
    "sparse": torch.Tensor.to_sparse,
    "nested": lambda tensor: torch.nested.nested_tensor([tensor.float().flatten()]),
    "scalar": lambda tensor: tensor.flatten()[0],
    "flat": torch.Tensor.flatten,
    "of one more dimension": lambda tensor: tensor[None],
    "of a last dimension": lambda tensor: tensor[..., None],
    "without the first row": lambda tensor: tensor[1:],
    "twice": lambda tensor: torch.cat([tensor, tensor]),
    "without rows": lambda tensor: tensor[:0],
    "without the last column": lambda tensor: tensor[..., :-1],
    "without columns": lambda tensor: tensor[..., :0],
    "of one channel": lambda tensor: tensor[:, :1],
    "of four channels": lambda tensor: torch.cat([tensor, tensor[:, :1]], dim=1),
    "transposed": lambda tensor: tensor.transpose(0, -1),
    "raw bytes": lambda tensor: (tensor.float().sigmoid() * 255).byte(),
    "raw floats": lambda tensor: tensor.float().sigmoid() * 255,
    **{
        f"with {value}": with_value(value)
        for value in (-1, -100, 2, 128, LONG, float("nan"), float("inf"), -float("inf"))
    },
}
EXTRAS: dict[str, Any] = {
    "num_items_in_batch": [0, -1, 2.5, "3", float("nan"), torch.tensor(0), torch.tensor(7), torch.zeros(2)],
    "image_indices": [
        torch.tensor([0, 1, 2]),
        torch.tensor([2, 2, 2]),
        torch.tensor([0, 1, 9]),
        torch.tensor([-1, 0, 1]),
    ],
    "position_ids": [torch.arange(10)[None], torch.zeros(3, 4, dtype=torch.long)],
    "logits_to_keep": [1, 10**9],
    "interpolate_pos_encoding": [True, None],
    "skip_logits": [True, False],
    "attention_mask": [torch.zeros(3, 10), torch.ones(3, 10).tril(), torch.ones(3, 9)],
    "inputs_embeds": [torch.zeros(3, 10, 32), torch.full((3, 10, 32), float("nan")), torch.zeros(3, 9, 32)],
    "max_new_tokens": [0, -1, 2.5, "3"],
}


def forward(model: Any, **batch: Any) -> None:
    output = model(**batch)
    if output.loss is not None:
        assert output.loss.isfinite(), "the loss is not finite"
        if output.loss.requires_grad:
            output.loss.backward()


def train(model: Any, **batch: Any) -> None:
    forward(model.train(), **batch)


def generate(model: Any, **batch: Any) -> None:
    batch.pop("labels", None)
    model.generate(**{"max_new_tokens": 2, **batch})


def with_features(model: Any, **batch: Any) -> None:
    """Encode the images first."""
    pixel_values = batch.pop("pixel_values", None)
    features = model.get_image_features(pixel_values).pooler_output
    forward(model, image_features=features, **batch)


ENTRIES = {"forward": forward, "training": train, "generate": generate, "features": with_features}
names = st.sampled_from(
    ["input_ids", "attention_mask", "pixel_values", "labels", "image_features", "decoder_input_ids"]
)
damages = st.lists(st.tuples(names, st.sampled_from(sorted(DAMAGES))), max_size=2)
extras = st.one_of(
    st.none(), st.sampled_from([(name, i) for name, values in EXTRAS.items() for i in range(len(values))])
)


@given(st.sampled_from(sorted(MODELS)), st.sampled_from(sorted(ENTRIES)), damages, extras)
def test_a_damaged_batch_gives_a_finite_result_or_a_clear_refusal(
    family: str, entry: str, damages: list[tuple[str, str]], extra: tuple[str, int] | None
) -> None:
    model, batch = MODELS[family].eval(), tiny_batch(family)
    whole = dict(batch, image_features=torch.zeros(3, 4, 32), decoder_input_ids=batch["labels"].clamp(min=0))
    for name, damage in damages:
        try:
            batch[name] = DAMAGES[damage](whole[name])
        except (RuntimeError, IndexError, TypeError):  # this tensor cannot be damaged so
            return
    if extra is not None:
        batch[extra[0]] = EXTRAS[extra[0]][extra[1]]
    attempted(f"{entry} of {family}", lambda: ENTRIES[entry](model, **batch))
