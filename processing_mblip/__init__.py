"""Turning images and text into tensors. Importing this package registers its classes with the Auto classes.

Start with `MBlipProcessor`. The other files are its steps; they go to the Hub with it.
"""

from .supported_releases import release  # noqa: F401

# isort: split
from transformers import AutoImageProcessor, AutoProcessor

from .image_processing_mblip import MBlipImageProcessor, load_upright_rgb
from .processing_mblip import MBlipProcessor

# transformers finds both by the class name in a saved folder. The first argument should be the model's config class.
# This package does not import it, so each class is registered under itself.
AutoProcessor.register(MBlipProcessor, MBlipProcessor)
AutoImageProcessor.register(
    MBlipImageProcessor, image_processor_classes={"pil": MBlipImageProcessor, "torchvision": MBlipImageProcessor}
)

__all__ = ["MBlipImageProcessor", "MBlipProcessor", "load_upright_rgb"]
