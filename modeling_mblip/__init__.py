"""The model: configuration, images into the language model's input, loss, generation.

Importing it registers the Auto classes for "mblip".
"""

from .configuration_mblip import MBlipConfig

# isort: split
import logging

from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText

from .modeling_mblip import MBlipForConditionalGeneration, MBlipOutput, MBlipPreTrainedModel

# bitsandbytes warns at every import that an optional kernel for CPUs is missing; PEFT imports it.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

AutoConfig.register("mblip", MBlipConfig, exist_ok=True)
AutoModel.register(MBlipConfig, MBlipForConditionalGeneration, exist_ok=True)
AutoModelForImageTextToText.register(MBlipConfig, MBlipForConditionalGeneration, exist_ok=True)

__all__ = ["MBlipConfig", "MBlipForConditionalGeneration", "MBlipOutput", "MBlipPreTrainedModel"]
