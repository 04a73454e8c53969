"""From pixels to the language model's input: features of every distinct image, placed into the embedded prompts.

The ViT dominates the cost of a step, so an image is encoded once however many prompts show it, and a frozen ViT runs
without gradients.

Shape suffixes: B = prompts, T = prompt tokens, I = distinct images, P = patches and class token, H = width of the ViT,
S = image slots in reading order, Q = query tokens per image, D = width of the language model.
"""

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, can_return_tuple

from .image_placement import PromptRules, find_image_tokens, place_image_features, select_image_features
from .pretrained_mblip import MBlipPreTrainedModel


class ImageInputMixin(MBlipPreTrainedModel):
    """Image features, and prompts with their images in place."""

    embedding_scale: float

    @can_return_tuple
    def get_image_features(
        self,
        pixel_values: torch.Tensor,
        interpolate_pos_encoding: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutputWithPooling:
        """Encode images: `pooler_output` holds the features that are placed, (I, Q, D); `last_hidden_state` the ViT's,
        (I, P, width).

        A ViT of which nothing trains runs without gradients and without dropout, whatever the model's mode.

        Args:
            pixel_values: (I, 3, H, W).
            interpolate_pos_encoding: take images of another size than the ViT's own.

        Raises:
            ValueError: the pixel values have another shape.
        """
        self._check_pixel_values(pixel_values, interpolate_pos_encoding)
        is_frozen = not any(parameter.requires_grad for parameter in self.vision_model.parameters())
        if is_frozen and self.vision_model.training:
            self.vision_model.eval()
        with torch.set_grad_enabled(torch.is_grad_enabled() and not is_frozen):
            vision = self.vision_model(pixel_values, interpolate_pos_encoding=interpolate_pos_encoding, **kwargs)
        return BaseModelOutputWithPooling(
            last_hidden_state=vision.last_hidden_state,
            pooler_output=self._query_images(vision.last_hidden_state),
            hidden_states=vision.hidden_states,
            attentions=vision.attentions,
        )

    def _query_images(self, vision_IPH: torch.Tensor) -> torch.Tensor:
        """Q-Former and projection over the ViT's output, (I, Q, D). The Q-Former casts its input to its own dtype."""
        queries = self.query_tokens(vision_IPH.shape[0])
        return self.language_projection(self.qformer(queries, encoder_hidden_states=vision_IPH).last_hidden_state)

    def _check_pixel_values(self, pixel_values: torch.Tensor, interpolate_pos_encoding: bool) -> None:
        size = self.config.vision_config.image_size
        height, width = (size, size) if isinstance(size, int) else size
        found = tuple(pixel_values.shape)
        if len(found) != 4 or (found[-2:] != (height, width) and not interpolate_pos_encoding):
            raise ValueError(
                f"`pixel_values` has shape {found}, expected (images, 3, {height}, {width}): every distinct image of "
                "the batch once. Build it with `MBlipProcessor`, or pass `interpolate_pos_encoding=True` for images "
                "of another size."
            )

    def place_images(
        self,
        input_ids: torch.Tensor | None,
        inputs_embeds: torch.Tensor | None = None,
        *,
        pixel_values: torch.Tensor | None = None,
        image_indices: torch.Tensor | None = None,
        image_features: torch.Tensor | None = None,
        interpolate_pos_encoding: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Embed the prompts with their images in place; arguments as in `forward`.

        Returns:
            The embeddings, (B, T, D), and the features of the distinct images, (I, Q, D) or None.

        Raises:
            ValueError: images, `image_indices` and `<image>` tokens do not agree, or an id is no word of the language
                model: the message says what another checkpoint's processor would have done.
        """
        self._check_arguments(input_ids, inputs_embeds, pixel_values, image_indices, image_features)
        if input_ids is None:
            assert inputs_embeds is not None, "_check_arguments has seen to it"
            return self._take_part_without_images(inputs_embeds), None
        if pixel_values is not None:
            self._check_pixel_values(pixel_values, interpolate_pos_encoding)
        images = pixel_values if image_features is None else image_features
        num_rows = 0 if images is None else images.shape[0]
        is_image_BT = find_image_tokens(
            input_ids,
            num_slots=num_rows if image_indices is None else image_indices.numel(),
            rules=self._prompt_rules(),
            are_words_embedded=inputs_embeds is not None,
        )
        if inputs_embeds is None:
            # An image id may lie outside the table, so it is replaced before the lookup.
            inputs_embeds = self.get_input_embeddings()(input_ids.masked_fill(is_image_BT, 0)) * self.embedding_scale
        if pixel_values is not None:
            image_features = self.get_image_features(pixel_values, interpolate_pos_encoding).pooler_output
        if image_features is None:
            return self._take_part_without_images(inputs_embeds), None
        features_SQD = select_image_features(image_features, image_indices)
        return place_image_features(inputs_embeds, features_SQD, is_image_BT), image_features

    def _prompt_rules(self) -> PromptRules:
        text_config = self.config.text_config.get_text_config()
        return PromptRules(
            image_token_id=self.image_token_id,
            num_query_tokens=self.config.num_query_tokens,
            num_words=text_config.vocab_size,
            pad_token_id=self.config.pad_token_id,
            origin=self.config.name_or_path or "",
        )

    def _check_arguments(
        self,
        input_ids: torch.Tensor | None,
        inputs_embeds: torch.Tensor | None,
        pixel_values: torch.Tensor | None,
        image_indices: torch.Tensor | None,
        image_features: torch.Tensor | None,
    ) -> None:
        has_images = pixel_values is not None or image_features is not None
        if input_ids is None and (has_images or inputs_embeds is None):
            raise ValueError(
                "`input_ids` is None, but the prompts' ids say where images stand. Build the inputs with "
                "`MBlipProcessor`."
            )
        if pixel_values is not None and image_features is not None:
            raise ValueError("Both `pixel_values` and `image_features` came in, expected one of them.")
        if image_indices is not None and not has_images:
            raise ValueError(
                "`image_indices` came in without `pixel_values` or `image_features`: there is no image to show."
            )
        if image_features is not None and image_features.shape[1:2] != (self.config.num_query_tokens,):
            raise ValueError(
                f"`image_features` has shape {tuple(image_features.shape)}, expected (images, "
                f"{self.config.num_query_tokens}, width): the `pooler_output` of `get_image_features`."
            )

    def _take_part_without_images(self, embeds_BTD: torch.Tensor) -> torch.Tensor:
        """In training, let the image side take part in a batch without an image, adding exactly zero.

        Its gradients are then zero, not missing: DistributedDataParallel waits for every rank's.
        """
        vision = self.vision_model
        image_side = (vision, self.query_tokens, self.qformer, self.language_projection)
        trains = [any(parameter.requires_grad for parameter in part.parameters()) for part in image_side]
        if not (self.training and torch.is_grad_enabled() and any(trains)):
            return embeds_BTD
        if trains[0]:
            size = self.config.vision_config.image_size
            height, width = (size, size) if isinstance(size, int) else size
            blank_IPH = vision(embeds_BTD.new_zeros(1, 3, height, width, dtype=vision.dtype)).last_hidden_state
        else:
            embeddings = vision.embeddings
            blank_IPH = embeds_BTD.new_zeros(1, embeddings.num_positions, embeddings.embed_dim)
        return embeds_BTD + 0 * self._query_images(blank_IPH).sum().to(embeds_BTD.device, embeds_BTD.dtype)
