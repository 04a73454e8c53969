"""A step of re-alignment on either side of a pair.

Q-Former, query tokens, projection and LoRA on the language model train; the ViT is frozen and nothing is checkpointed.
"""

from collections.abc import Callable

import torch
from model_pair import ModelPair
from paired_inputs import PairedInputs
from peft import LoraConfig, inject_adapter_in_model

from mblip.training.trainable import linear_layers

NUM_TOKENS, NUM_TARGETS = 16, 24  # of a prompt beside its image, and of what is to be learnt


def train_as_in_re_alignment(pair: ModelPair) -> None:
    """Q-Former, query tokens, projection and LoRA on the language model train, the ViT is frozen, on both sides."""
    lora = LoraConfig(r=8, lora_alpha=16, target_modules=list(linear_layers(pair.ours)))
    inject_adapter_in_model(lora, pair.ours)
    for module in (pair.theirs.qformer, pair.theirs.language_projection):
        module.requires_grad_(True)
    pair.theirs.query_tokens.requires_grad_(True)
    pair.ours.train()
    pair.theirs.train()


def make_optimizer(pair: ModelPair) -> torch.optim.Optimizer:
    """One for both sides, as they share what trains."""
    trained = [parameter for parameter in pair.theirs.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(trained, lr=1e-5, fused=True)


def training_step(
    model: torch.nn.Module, inputs: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer
) -> Callable[[], None]:
    """Forward, backward and the optimizer's step, to be called again and again."""

    def step() -> None:
        model(**inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def loss_difference(pair: ModelPair, inputs: PairedInputs) -> str:
    """How far the two losses are apart, as a share of the reference's."""
    with torch.no_grad():
        ours, theirs = pair.ours(**inputs.ours).loss.item(), pair.theirs(**inputs.theirs).loss.item()
    return f"losses differ by {abs(ours - theirs) / abs(theirs):.0e}"
