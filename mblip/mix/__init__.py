"""Building a mix: sources to filtered, translated, fetched rows in parquet."""
