"""Everything about mBLIP but the model and its processor: data, mixes, training, evaluation.

Importing it registers `MBlipConfig`, `MBlipForConditionalGeneration` and `MBlipProcessor` with the Auto classes.
"""

import modeling_mblip  # noqa: F401
import processing_mblip  # noqa: F401
