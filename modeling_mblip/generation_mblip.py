"""Text from images and prompts: transformers' `generate` on this model's own forward.

Images are encoded and placed once, before the search begins: an encoder-decoder gets its encoder's output, a decoder-only language model the
embeddings of its prompt. Both therefore return new tokens only, and logits processors see new tokens only: image tokens, padding and the prompt's
words never count as repeated text, and an image id outside the vocabulary meets no processor.

Shape suffixes: B = prompts, T = prompt tokens, D = width of the language model.
"""

from typing import Any

import torch
from transformers import GenerationMixin
from transformers.generation.utils import GenerateOutput
from transformers.masking_utils import create_masks_for_generate

ENCODER_FLAGS = ("output_attentions", "output_hidden_states")


class MBlipGenerationMixin(GenerationMixin):
    """`generate` for a model that holds a `language_model` and can `place_images`."""

    @torch.no_grad()
    def generate(
        self,
        input_ids: torch.LongTensor | None = None,
        pixel_values: torch.FloatTensor | None = None,
        image_indices: torch.LongTensor | None = None,
        image_features: torch.FloatTensor | None = None,
        attention_mask: torch.LongTensor | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        interpolate_pos_encoding: bool = False,
        **kwargs: Any,
    ) -> GenerateOutput | torch.LongTensor:
        """Continue or answer the prompts. Takes what `forward` takes and any argument of transformers' `generate`.

        Args:
            input_ids: (B, T), the prompts with their `<image>` tokens, padded on either side.
            pixel_values: (I, 3, H, W), every distinct image once.
            image_indices: (S,), for each image slot the row it shows; None: slot s shows row s.
            image_features: (I, Q, D), instead of `pixel_values`: `get_image_features(pixel_values).pooler_output`.
            attention_mask: (B, T), 1 where a prompt's token stands; None: everywhere.
            inputs_embeds: (B, T, D), instead of the embeddings of `input_ids`.

        Returns:
            New tokens only, (B x num_return_sequences, new tokens): an encoder-decoder's begin with its start token. A `ModelOutput` with
            `return_dict_in_generate=True`.

        Raises:
            ValueError: images and `<image>` tokens do not agree; `assistant_model` is given; there is no prompt.
        """
        if kwargs.pop("assistant_model", None) is not None:
            raise ValueError(
                "`assistant_model` came in, but an assistant would have to see the images as well, which transformers' assisted decoding does "
                "not pass on. Use `prompt_lookup_num_tokens`, or no assistant."
            )
        kwargs.pop("labels", None)  # Seq2SeqTrainer hands over the whole batch
        if kwargs.get("encoder_outputs") is not None:
            return super().generate(attention_mask=attention_mask, **kwargs)
        embeds_BTD, _ = self.place_images(
            input_ids,
            inputs_embeds,
            pixel_values=pixel_values,
            image_indices=image_indices,
            image_features=image_features,
            interpolate_pos_encoding=interpolate_pos_encoding,
        )
        if not self.config.is_encoder_decoder:
            embeds_BTD, attention_mask = _pad_on_the_left(embeds_BTD, attention_mask)
            return super().generate(inputs_embeds=embeds_BTD, attention_mask=attention_mask, **kwargs)
        kwargs["encoder_outputs"] = self._encode(embeds_BTD, attention_mask, kwargs)
        return super().generate(input_ids=self._text_ids(input_ids), attention_mask=attention_mask, **kwargs)

    def _encode(self, embeds_BTD: torch.Tensor, attention_mask: torch.Tensor | None, kwargs: dict[str, Any]) -> Any:
        """The encoder's output over the placed prompts, once for all beams and steps."""
        generation_config = kwargs.get("generation_config") or self.generation_config
        flags = {name: kwargs.get(name, getattr(generation_config, name)) for name in ENCODER_FLAGS}
        encoder = self.get_encoder()
        return encoder(
            inputs_embeds=embeds_BTD,
            attention_mask=attention_mask,
            return_dict=True,
            **{name: True for name, is_wanted in flags.items() if is_wanted},
        )

    def _text_ids(self, input_ids: torch.Tensor | None) -> torch.Tensor | None:
        """The prompts for processors that look at the encoder's words: padding stands where an image stood."""
        if input_ids is None:
            return None
        return input_ids.masked_fill(input_ids == self.config.image_token_id, self.config.pad_token_id or 0)

    def create_masks_for_generate(self, config: Any = None, **kwargs: Any) -> Any:
        """Masks for a compilable cache, as the language model wants them (BLOOM keeps two dimensions for ALiBi)."""
        create = getattr(self.language_model, "create_masks_for_generate", create_masks_for_generate)
        return create(config=self.language_model.config, **kwargs)


def _pad_on_the_left(
    embeds_BTD: torch.Tensor, attention_mask_BT: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Move padding in front of each prompt: a decoder-only model continues after the last column."""
    if attention_mask_BT is None or bool(attention_mask_BT[:, -1].all()):
        return embeds_BTD, attention_mask_BT
    order_BT = attention_mask_BT.ne(0).long().argsort(dim=1, stable=True)
    embeds_BTD = embeds_BTD.gather(1, order_BT[..., None].expand_as(embeds_BTD).to(embeds_BTD.device))
    return embeds_BTD, attention_mask_BT.gather(1, order_BT)
