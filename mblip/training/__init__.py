"""The parts of train.py: recipes, rows, the Trainer, checkpoints, evaluation, model cards and publishing."""
