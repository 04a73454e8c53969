"""The model on a CUDA device: the same results as on the CPU, in fp32 and bf16, with caches, chunks and autocast."""

import pytest
import torch
from tiny import tiny_batch, tiny_model

from mblip.training.trainable import set_trainable
from modeling_mblip import label_loss

FAMILIES = ("mt5", "bloom", "llama", "qwen3", "gemma2")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def on_gpu(batch: dict[str, torch.Tensor], dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    return {
        name: tensor.to("cuda", dtype) if tensor.is_floating_point() else tensor.to("cuda")
        for name, tensor in batch.items()
    }


def prompt_of(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in batch.items() if name != "labels"}


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_loss_are_those_of_the_cpu(family):
    batch, model = tiny_batch(family), tiny_model(family)
    with torch.no_grad():
        expected = model(**batch)
        found = model.to("cuda")(**on_gpu(batch))
    torch.testing.assert_close(found.logits.cpu(), expected.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.loss.cpu(), expected.loss, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_chunked_loss_and_its_gradients_are_those_of_the_logits(family, monkeypatch):
    monkeypatch.setattr(label_loss, "NUM_LOGITS_PER_CHUNK_ON_DEVICE", 3 * 128)  # three label tokens a chunk
    batch, model = on_gpu(tiny_batch(family)), tiny_model(family).to("cuda")
    gradients = []
    for skip_logits in (True, False):
        model.zero_grad()
        model(**batch, skip_logits=skip_logits).loss.backward()
        gradients.append(model.query_tokens.weight.grad.clone())
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_image_shown_twice_is_encoded_once_with_the_same_logits(family):
    batch, model = on_gpu(prompt_of(tiny_batch(family, batch_size=3))), tiny_model(family).to("cuda")
    labels = on_gpu(tiny_batch(family, batch_size=3))["labels"]
    rows = torch.tensor([1, 0, 1], device="cuda")
    pixel_values = batch.pop("pixel_values")[:2]
    with torch.no_grad():
        shared = model(**batch, pixel_values=pixel_values, image_indices=rows, labels=labels)
        repeated = model(**batch, pixel_values=pixel_values[rows], labels=labels)
    torch.testing.assert_close(shared.logits, repeated.logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("num_beams", [1, 3])
def test_generated_tokens_are_those_of_the_cpu(family, num_beams):
    prompt, model = prompt_of(tiny_batch(family)), tiny_model(family)
    decoding = {"num_beams": num_beams, "max_new_tokens": 6, "do_sample": False}
    expected = model.generate(**prompt, **decoding)
    assert torch.equal(model.to("cuda").generate(**on_gpu(prompt), **decoding).cpu(), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_static_cache_gives_the_same_tokens(family):
    prompt, model = on_gpu(prompt_of(tiny_batch(family))), tiny_model(family).to("cuda")
    decoding = {"max_new_tokens": 6, "do_sample": False, "disable_compile": True}
    expected = model.generate(**prompt, **decoding)
    assert torch.equal(model.generate(**prompt, **decoding, cache_implementation="static"), expected)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("is_autocast", [True, False])
def test_a_step_in_bf16_trains_in_fp32_and_leaves_the_rest_bit_equal(family, is_autocast):
    """With autocast over fp32 weights, and without it over a 16-bit ViT and language model."""
    model = tiny_model(family).to("cuda")
    if not is_autocast:
        model.vision_model.to(torch.bfloat16)
        model.language_model.to(torch.bfloat16)
    adapted = set_trainable(model, "re_alignment").train()
    trained = {name: parameter for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    frozen = {name: parameter.clone() for name, parameter in adapted.named_parameters() if name not in trained}
    before = {name: parameter.detach().clone() for name, parameter in trained.items()}
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-2)
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=is_autocast):
        loss = adapted(**on_gpu(tiny_batch(family), torch.float32 if is_autocast else torch.bfloat16)).loss
    assert loss.dtype == torch.float32
    loss.backward()
    optimizer.step()
    assert all(parameter.dtype == torch.float32 for parameter in trained.values())
    assert any(not torch.equal(parameter, before[name]) for name, parameter in trained.items())
    assert all(
        torch.equal(parameter, frozen[name]) for name, parameter in adapted.named_parameters() if name in frozen
    )
