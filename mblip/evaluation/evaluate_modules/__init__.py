"""The metrics as modules of the `evaluate` library: `evaluate.load("mblip/evaluation/evaluate_modules/cider_d")`.

Each folder is a module with its card, and metric_module.py is the frame of all. The library copies a module's file
into a cache, so these files name our functions absolutely. They compute nothing: every figure comes from
mblip/evaluation/metrics.
"""
