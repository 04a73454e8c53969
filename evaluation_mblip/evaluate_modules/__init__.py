"""The metrics as modules of the `evaluate` library: `evaluate.load("evaluation_mblip/evaluate_modules/cider_d")`.

Each folder is a module with its card. The library copies the module's file into a cache and takes the first class that
it finds there, so these files name our functions absolutely and import no class. They compute nothing: every figure
comes from evaluation_mblip/metrics.
"""
