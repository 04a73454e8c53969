"""Data, training mixes, training and evaluation for mBLIP. Model and processor are packages of their own.

Importing this package registers `MBlipConfig`, `MBlipForConditionalGeneration` and `MBlipProcessor` with the Auto
classes.
"""

import modeling_mblip  # noqa: F401
import processing_mblip  # noqa: F401
