"""The built-in benchmarks: `xgqa` in a recipe is the function `xgqa` in xgqa.py. A new file adds a benchmark."""
