"""The plumbing of train.py: recipes, rows, the Trainer, checkpoints, what is written when training is over."""

import modeling_mblip  # noqa: F401 (quiets bitsandbytes before PEFT imports it)
