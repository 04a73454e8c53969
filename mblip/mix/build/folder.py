"""The folder of a build: the dataset that it makes, and in `.build` what its steps hand to each other."""

from dataclasses import dataclass
from pathlib import Path

WORK = ".build"


@dataclass(frozen=True)
class BuildFolder:
    """Places in the output folder `root`."""

    root: Path

    @property
    def work(self) -> Path:
        """What the steps hand to each other; not part of the dataset, and hidden from `load_dataset`."""
        return self.root / WORK

    @property
    def recipe(self) -> Path:
        """The recipe that everything in the folder was made by."""
        return self.work / "recipe.yaml"

    def examples(self, source: int) -> Path:
        """The folder of examples of a source, by its position in the recipe."""
        return self.work / "examples" / f"{source:03d}"

    def fetched(self, shard: int) -> Path:
        """Images of a shard that were URLs."""
        return self.work / "fetched" / f"{shard:05d}"

    @property
    def translations(self) -> Path:
        """The cache of translations, one for each shard so that machines need not share a database."""
        return self.work / "translations"

    def shard(self, number: int, num_shards: int) -> Path:
        """A parquet file of the dataset."""
        return self.root / "data" / f"train-{number:05d}-of-{num_shards:05d}.parquet"

    def shard_report(self, number: int) -> Path:
        """What building a shard came to."""
        return self.work / "shards" / f"{number:05d}.json"

    @property
    def logs(self) -> Path:
        """Logs of datatrove's executors."""
        return self.work / "logs"
