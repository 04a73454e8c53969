"""The processor and the two images that most tests here use."""

import pytest
from PIL import Image
from tiny_processor import make_processor

from processing_mblip import MBlipProcessor


@pytest.fixture
def processor() -> MBlipProcessor:
    return make_processor()


@pytest.fixture
def red() -> Image.Image:
    return Image.new("RGB", (6, 5), "red")


@pytest.fixture
def blue() -> Image.Image:
    return Image.new("RGB", (6, 5), "blue")
