"""What a candidate's likelihood is worth before anything is seen: the inputs without content of calibrated scores.

A language model likes some answers whatever it is asked ("yes" more than "maybe"). Calibrated scores take from a
candidate's log-likelihood the one it has behind the same wording without content: "N/A" in place of the hypothesis, a
grey picture in place of the photo. That is PMI_DC of Holtzman et al. (2021, "Surface Form Competition", arXiv
2104.08315); contextual calibration of Zhao et al. (2021, "Calibrate Before Use", arXiv 2102.09690), who divide the
candidates' probabilities by those of a content-free input, chooses the same candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from PIL import Image

from ..model_inputs import Model, Processor


class PictureProcessor(Processor, Protocol):
    """What is asked of `MBlipProcessor` beside prompts."""

    image_processor: Any


CONTENT_FREE_TEXT = "N/A"


@dataclass(frozen=True, eq=False)
class ContentFree:
    """The inputs that calibrate prompts.

    Args:
        prompts: for each prompt its wording without content; equal ones are asked once.
        image_features: (I, Q, D), such as `grey_features`; None: no pictures.
        image_rows: for each prompt the rows of `image_features` that it shows; None: row 0 as often as the prompt that
            it calibrates shows pictures.
    """

    prompts: Sequence[str]
    image_features: torch.Tensor | None = None
    image_rows: Sequence[Sequence[int]] | None = None


def grey_image(processor: PictureProcessor) -> Image.Image:
    """A picture of the colour that the processor takes for the mean of all pictures: it becomes (nearly) zero."""
    mean = processor.image_processor.image_mean
    red, green, blue = (round(255 * channel) for channel in mean)
    return Image.new("RGB", (64, 64), (red, green, blue))


@torch.no_grad()
def grey_features(model: Model, processor: PictureProcessor) -> torch.Tensor:
    """The features of the grey picture, (1, Q, D)."""
    pixel_values = processor(images=[grey_image(processor)], return_tensors="pt")["pixel_values"]
    return model.get_image_features(pixel_values.to(model.device)).pooler_output
