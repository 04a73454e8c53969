"""Running the language model over placed prompts, for its logits or up to its head, and the loss over its labels.

Shape suffixes: B = prompts, T = prompt tokens, L = target tokens, D = width of the language model, V = vocabulary.
"""

from collections.abc import Callable
from typing import Any

import torch
from transformers.utils import ModelOutput

from .label_loss import IGNORE_INDEX, label_loss_sum, logits_loss_sum
from .language_models import (
    argument_names,
    check_padding_in_front,
    known_arguments,
    move_padding,
    position_ids_from_mask,
)
from .output_head import check_visit, find_scaling_power, logits_of, output_head, stop_at_head
from .pretrained_mblip import MBlipPreTrainedModel


class LanguageModelRunMixin(MBlipPreTrainedModel):
    """What `forward` does once the images are in place."""

    scaling_power: int | None
    first_position: int

    def prepare_decoder_input_ids_from_labels(self, labels: torch.Tensor) -> torch.Tensor:
        """Labels shifted right behind the start token, (B, L), as the encoder-decoder language model does it.

        Raises:
            ValueError: the language model is decoder-only, or names no start token.
        """
        if not self.config.is_encoder_decoder:
            raise ValueError(
                "A decoder-only language model takes no `decoder_input_ids`: its labels are aligned with `input_ids`."
            )
        if hasattr(self.language_model, "prepare_decoder_input_ids_from_labels"):
            return self.language_model.prepare_decoder_input_ids_from_labels(labels=labels)
        start, pad = self.config.decoder_start_token_id, self.config.pad_token_id
        if start is None or pad is None:
            raise ValueError(
                f"decoder_start_token_id is {start} and pad_token_id {pad}: both are needed to shift labels right. "
                "Set them in the text_config."
            )
        shifted = labels.new_full(labels.shape, start)
        shifted[:, 1:] = labels[:, :-1].masked_fill(labels[:, :-1] == IGNORE_INDEX, pad)
        return shifted

    def language_model_arguments(self, **arguments: Any) -> dict[str, Any]:
        """Turn the model's arguments into its language model's."""
        labels = arguments.pop("labels")
        if self.config.is_encoder_decoder:
            for name in ("input_ids", "position_ids"):
                arguments.pop(name)
            if arguments["decoder_input_ids"] is None and labels is not None:
                arguments["decoder_input_ids"] = self.prepare_decoder_input_ids_from_labels(labels)
            if arguments["inputs_embeds"] is not None:
                arguments["inputs_embeds"], arguments["attention_mask"] = self.arrange_encoder_padding(
                    arguments["inputs_embeds"], arguments["attention_mask"]
                )
        else:
            for name in ("decoder_input_ids", "decoder_attention_mask", "encoder_outputs"):
                arguments.pop(name)
            check_padding_in_front(self.language_model, arguments["attention_mask"])
            tokens = arguments["input_ids"] if arguments["inputs_embeds"] is None else arguments["inputs_embeds"]
            if arguments["position_ids"] is None:
                arguments["position_ids"] = self._position_ids(arguments["attention_mask"], tokens.shape[1])
        return known_arguments(type(self.language_model), arguments | {"return_dict": True})

    def arrange_encoder_padding(
        self, embeds_BTD: torch.Tensor, attention_mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Padding behind the prompts: some encoders number their columns from the first on, the others do not mind."""
        return move_padding(embeds_BTD, attention_mask, side="right")

    def _position_ids(self, attention_mask: torch.Tensor | None, num_tokens: int) -> torch.Tensor | None:
        """Positions of a decoder-only language model's tokens, or None where it needs none."""
        if "position_ids" in argument_names(type(self.language_model)):
            return position_ids_from_mask(attention_mask, num_tokens, self.first_position)
        return None

    def run_language_model(
        self, arguments: dict[str, Any], labels: torch.Tensor | None
    ) -> tuple[ModelOutput, torch.Tensor | None]:
        """The language model's output with its logits, and the summed loss where there are labels."""
        outputs = self.language_model(**arguments)
        return outputs, None if labels is None else logits_loss_sum(*self._align(outputs.logits, labels))

    def run_to_head(self, arguments: dict[str, Any], labels: torch.Tensor) -> tuple[ModelOutput, torch.Tensor]:
        """The language model's output without logits, and the summed loss, its logits made where a label stands.

        Raises:
            ValueError: the language model ends in a step that the chunked loss does not know.
        """
        outputs, hidden_BTD = self._run_up_to_head(lambda: self.language_model(**arguments))
        states_BLD, labels_BL = self._align(hidden_BTD, labels)
        is_label_BL = labels_BL != IGNORE_INDEX
        num_words = self.config.text_config.get_text_config().vocab_size
        total = label_loss_sum(
            states_BLD[is_label_BL],
            labels_BL[is_label_BL],
            self.logits_from_states,
            list(output_head(self.language_model).parameters()),
            num_words,
        )
        return outputs, total

    def forward_to_head(self, **inputs: Any) -> tuple[ModelOutput, torch.Tensor]:
        """`forward` without logits, for those who need them at few places: `logits_from_states` makes them there.

        Args:
            inputs: those of `forward`, without labels.

        Returns:
            Its output, in which `logits` is None; the hidden states that the head would take, (B, T, D).

        Raises:
            ValueError: the language model ends in a step that is not known (output_head.py).
        """
        return self._run_up_to_head(lambda: self(**inputs))

    def logits_from_states(self, states: torch.Tensor) -> torch.Tensor:
        """Logits of hidden states that were left at the head, (..., D) -> (..., V): head and tail."""
        assert self.scaling_power is not None, "found when the states were made"
        return logits_of(self.language_model, self.scaling_power)(states)

    def _run_up_to_head(self, run: Callable[[], Any]) -> tuple[Any, torch.Tensor]:
        """The output without logits and the hidden states of a run of the language model, whose tail is probed with
        the first one."""
        with stop_at_head(output_head(self.language_model), with_probe=self.scaling_power is None) as visit:
            outputs = run()
        hidden_BTD = check_visit(self.language_model, visit)
        if self.scaling_power is None:
            self.scaling_power = find_scaling_power(self.language_model, visit, outputs.logits)
        outputs.logits = None
        return outputs, hidden_BTD

    def _align(self, states: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """States (hidden or logits) and the labels they predict: a decoder-only model's stand one position later.

        Raises:
            ValueError: there is not one label per state.
        """
        labels = labels.to(states.device)
        if states.shape[:2] != labels.shape:
            raise ValueError(
                f"`labels` has shape {tuple(labels.shape)}, but the language model looked at "
                f"{tuple(states.shape[:2])} positions. Labels are aligned with `decoder_input_ids` (encoder-decoder) "
                "or with `input_ids`, image tokens included (decoder-only)."
            )
        return (states, labels) if self.config.is_encoder_decoder else (states[:, :-1], labels[:, 1:])

    def mean_loss(
        self, total: torch.Tensor, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None
    ) -> torch.Tensor:
        """The summed loss by the items given or the labels here; a batch without any label has a loss of zero."""
        if num_items_in_batch is None:
            targets = labels if self.config.is_encoder_decoder else labels[:, 1:]
            num_items_in_batch = (targets != IGNORE_INDEX).sum().clamp(min=1)
        if torch.is_tensor(num_items_in_batch):
            num_items_in_batch = num_items_in_batch.to(total.device)
        return total / num_items_in_batch
