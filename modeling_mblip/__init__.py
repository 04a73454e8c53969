"""The mBLIP model: configuration, image placement, loss, generation.

Importing this package registers the Auto classes for "mblip".
"""

from .configuration_mblip import MBlipConfig

# isort: split
from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText

from .modeling_mblip import MBlipForConditionalGeneration, MBlipOutput, MBlipPreTrainedModel

AutoConfig.register("mblip", MBlipConfig, exist_ok=True)
AutoModel.register(MBlipConfig, MBlipForConditionalGeneration, exist_ok=True)
AutoModelForImageTextToText.register(MBlipConfig, MBlipForConditionalGeneration, exist_ok=True)

__all__ = ["MBlipConfig", "MBlipForConditionalGeneration", "MBlipOutput", "MBlipPreTrainedModel"]
