"""What `MBlipForConditionalGeneration` returns: one flat output for both kinds of language model, as Trainer and
`generate` want it.
"""

from dataclasses import dataclass

import torch
from transformers.cache_utils import Cache
from transformers.utils import ModelOutput

from .language_models import CACHE_NAME, cache_of


@dataclass
class MBlipOutput(ModelOutput):
    """Flat output of the model; what the language model does not give is None.

    Args:
        loss: scalar in fp32, the sum over label tokens divided by `num_items_in_batch` or by their number. Given with
            `labels`.
        logits: (B, T or L, V), or None where they were skipped, as in training with labels.
        cache: the language model's. Before transformers 5.24 the field is `past_key_values`, as in all its outputs,
            and `cache` a property.
        hidden_states, attentions: of a decoder-only language model, where asked for.
        decoder_hidden_states, decoder_attentions, cross_attentions: of an encoder-decoder's decoder, where asked for.
        encoder_last_hidden_state, encoder_hidden_states, encoder_attentions: of its encoder.
        image_hidden_states: (I, Q, D), the image features of this batch, one row per distinct image; None without
            images.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    if CACHE_NAME == "cache":
        cache: Cache | None = None
    else:
        past_key_values: Cache | None = None

        @property
        def cache(self) -> Cache | None:  # type: ignore[misc]  # never both
            return self.past_key_values

    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    decoder_hidden_states: tuple[torch.Tensor, ...] | None = None
    decoder_attentions: tuple[torch.Tensor, ...] | None = None
    cross_attentions: tuple[torch.Tensor, ...] | None = None
    encoder_last_hidden_state: torch.Tensor | None = None
    encoder_hidden_states: tuple[torch.Tensor, ...] | None = None
    encoder_attentions: tuple[torch.Tensor, ...] | None = None
    image_hidden_states: torch.Tensor | None = None


LANGUAGE_MODEL_FIELDS = tuple(
    name for name in MBlipOutput.__dataclass_fields__ if name not in ("loss", CACHE_NAME, "image_hidden_states")
)


def flatten_output(
    language_model_output: ModelOutput, *, loss: torch.Tensor | None, image_hidden_states: torch.Tensor | None
) -> MBlipOutput:
    """Put the language model's output, the loss and the image features into one flat output."""
    # Language models differ in what they give. By attribute: a `ModelOutput` keeps its item where one is set to None.
    passed_on = {name: getattr(language_model_output, name, None) for name in LANGUAGE_MODEL_FIELDS}
    passed_on[CACHE_NAME] = cache_of(language_model_output)
    return MBlipOutput(loss=loss, image_hidden_states=image_hidden_states, **passed_on)
