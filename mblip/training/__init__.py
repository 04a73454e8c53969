"""The plumbing of train.py: recipes, rows, the Trainer, checkpoints, what is written when training is over."""
