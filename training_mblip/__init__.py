"""The plumbing of train.py: recipes, rows, the Trainer, checkpoints, what is written when training is over."""

import logging

# bitsandbytes warns at every import that an optional kernel for CPUs is missing; PEFT imports it.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
