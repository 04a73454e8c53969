"""The built-in benchmarks: `xgqa` in a recipe is the function `xgqa` of xgqa.py. A new file is a new benchmark."""
