"""The inputs: images and text to tensors. Importing this package registers `AutoProcessor` and `AutoImageProcessor`.

`MBlipProcessor` is where to begin; the files beside it are its steps, and go to the Hub with it.
"""

from .supported_releases import release  # noqa: F401

# isort: split
from transformers import AutoImageProcessor, AutoProcessor

from .image_processing_mblip import MBlipImageProcessor, load_upright_rgb
from .processing_mblip import MBlipProcessor

# Both are found by the class name that a saved folder holds. The first argument is meant for the model's config
# class, which this package does not import: the classes stand for themselves.
AutoProcessor.register(MBlipProcessor, MBlipProcessor)
AutoImageProcessor.register(
    MBlipImageProcessor, image_processor_classes={"pil": MBlipImageProcessor, "torchvision": MBlipImageProcessor}
)

__all__ = ["MBlipImageProcessor", "MBlipProcessor", "load_upright_rgb"]
