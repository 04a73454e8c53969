"""The processor of another image encoder: its own image processor, to the last bit, behind our loading of images."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoProcessor,
    BaseImageProcessor,
    BitImageProcessorPil,
    CLIPImageProcessorPil,
    ConvNextImageProcessorPil,
    SiglipImageProcessorPil,
    ViTImageProcessorPil,
)
from transformers.image_processing_utils import BatchFeature

from processing_mblip import MBlipProcessor
from tests.tiny import tiny_tokenizer

RNG = np.random.default_rng(0)
IMAGE = Image.fromarray(RNG.integers(0, 256, (45, 70, 3), dtype=np.uint8))
SMALL = {"height": 32, "width": 32}
# SigLIP's and a ViT's; CLIP's and DINOv2's, which crop; ConvNeXt's
PROCESSORS = [
    SiglipImageProcessorPil(size=SMALL),
    ViTImageProcessorPil(size=SMALL),
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SMALL),
    BitImageProcessorPil(size={"shortest_edge": 36}, crop_size=SMALL),
    ConvNextImageProcessorPil(size={"shortest_edge": 32}),
]


class OwnImageProcessor(BaseImageProcessor):
    """Pixels from -1 to 1 of the corner."""

    model_input_names = ["pixel_values"]  # noqa: RUF012

    def __init__(self, side: int = 8, **kwargs) -> None:
        super().__init__(**kwargs)
        self.side = side

    def preprocess(self, images, return_tensors=None, **kwargs) -> BatchFeature:
        corners = [np.array(image)[: self.side, : self.side] for image in images]
        values = [corner.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1 for corner in corners]
        return BatchFeature({"pixel_values": values}, tensor_type=return_tensors)


AutoImageProcessor.register(OwnImageProcessor, OwnImageProcessor, exist_ok=True)


@pytest.mark.parametrize("own", [*PROCESSORS, OwnImageProcessor(6)], ids=lambda own: type(own).__name__)
def test_pixel_values_are_those_of_the_towers_own_processor(own, tmp_path):
    own.save_pretrained(tmp_path / "tower")
    own = AutoImageProcessor.from_pretrained(tmp_path / "tower")
    processor = MBlipProcessor(own, tiny_tokenizer(), num_query_tokens=4, image_token_id=128)
    processor.save_pretrained(tmp_path / "processor")
    wanted = own([IMAGE, IMAGE.rotate(180)], return_tensors="pt")["pixel_values"]
    for each in (processor, AutoProcessor.from_pretrained(tmp_path / "processor")):
        assert type(each.image_processor) is type(own)
        inputs = each(images=[IMAGE, IMAGE.rotate(180)], text=["a red star"] * 2, return_tensors="pt")
        assert torch.equal(inputs["pixel_values"], wanted)


@pytest.mark.parametrize("own", [PROCESSORS[0], OwnImageProcessor(6)], ids=lambda own: type(own).__name__)
def test_images_of_any_kind_still_go_through_our_loading(own, tmp_path):
    processor = MBlipProcessor(own, tiny_tokenizer(), num_query_tokens=4, image_token_id=128)
    turned = IMAGE.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    clear = Image.new("RGBA", (40, 40), (10, 20, 30, 0))
    for given, shown in ((tmp_path / "turned.png", IMAGE), (clear, Image.new("RGB", (40, 40), "white"))):
        found = processor(images=given, text="a star", return_tensors="pt")["pixel_values"]
        assert torch.equal(found, own([shown], return_tensors="pt")["pixel_values"])
