"""The build of a training mix: a recipe and the published files in, a dataset for `load_dataset` and the Hub out.

    mblip build mix_corrected --output mix

Three steps, each a list of tasks that depend on nothing but the steps before, so that any number of processes or
machines may share them (command.py):

1. reading.py, a task for each source: its examples, each with the language allotted to it, parted by image set among
   the shards. What the mix will hold is known, and printed, before any translation is paid for.
2. images.py, a task for each shard: the images that are URLs.
3. shards.py, a task for each shard: translated, worded, gathered into rows, images checked and stored; one parquet
   file.

Then finishing.py counts all together and writes the dataset's card. A task whose result is there is not done again,
and what a task writes depends on the recipe and the files alone: killed anywhere and run again, or shared among
workers, a build gives the same bytes.
"""
