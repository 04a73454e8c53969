"""The build of a training mix: from a recipe and published files to a dataset for `load_dataset` and the Hub.

    mblip build mix_corrected --output mix

There are three steps. Each is a list of tasks that depend only on earlier steps, so any number of processes or
machines may share them (command.py):

1. reading.py, one task per source: allots a language to each example and distributes the examples over the shards by
image set. What the mix will hold is then known, and printed, before any translation is paid for.
2. images.py, one task per shard: fetches the images that are URLs.
3. shards.py, one task per shard: translates, adds prompts, gathers rows, checks and stores images, and writes one
parquet file.

Then finishing.py counts everything and writes the dataset card. A task with an existing result is not repeated, and a
task's result depends only on the recipe and the files. A build gives the same bytes if it is killed and restarted, or
shared among workers.
"""
