"""transformers' common image processor tests on `MBlipImageProcessor`, which serves both of transformers' backends."""

import unittest

import transformers_source
from not_applicable import IMAGE_PROCESSOR, declare

from processing_mblip import MBlipImageProcessor

common = transformers_source.load("test_image_processing_common")


class ImageProcessorTester(common.ImageProcessingTester):
    """What the common tests ask of an image processor: its classes, by backend, and the settings to make one with."""

    def __init__(self, parent: unittest.TestCase) -> None:
        super().__init__(
            parent,
            do_resize=True,
            size={"height": 18, "width": 20},
            do_normalize=True,
            image_mean=[0.5, 0.4, 0.3],
            image_std=[0.2, 0.3, 0.1],
            do_convert_rgb=True,
        )

    def _get_image_processing_classes(self) -> dict[str, type]:
        return {"pil": MBlipImageProcessor, "torchvision": MBlipImageProcessor}


class ImageProcessorTests(common.ImageProcessingTestMixin, unittest.TestCase):
    image_processor_tester_class = ImageProcessorTester
    test_cast_dtype = True


declare(ImageProcessorTests, IMAGE_PROCESSOR)
