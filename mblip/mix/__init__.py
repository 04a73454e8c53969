"""Building a training mix: from sources to filtered, translated rows with fetched images, in parquet."""
