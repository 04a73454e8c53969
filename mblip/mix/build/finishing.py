"""The last step of a build: all shards counted together, the dataset's card and its chart; and its way to the Hub."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi

from mblip.data.recipes.yaml_values import read_yaml, to_plain_values, without_places, write_yaml
from mblip.data.whole_files import unfinished_file, write_text

from ..allocation import allocation_table, write_chart
from .dataset_card import dataset_card
from .folder import BuildFolder, Counts, ShardReport, SourceReport
from .reading import read_report
from .recipe import MixRecipe

CARD, CHART = "README.md", "languages.png"


@dataclass(frozen=True)
class FinishingStep:
    """One task: card and chart. Called as datatrove calls the steps of a pipeline."""

    recipe: MixRecipe
    folder: BuildFolder

    def __call__(self, data: Any, rank: int, world_size: int) -> None:
        finish(self.recipe, self.folder)


def finish(recipe: MixRecipe, folder: BuildFolder) -> None:
    """Write the card and the chart.

    Raises:
        ValueError: a shard is missing.
    """
    missing = [
        number
        for number in range(recipe.num_shards)
        if not (folder.shard(number, recipe.num_shards).is_file() and folder.shard_report(number).is_file())
    ]
    if missing:
        raise ValueError(f"{len(missing)} of {recipe.num_shards} shards are not built. Run the same command again.")
    total = ShardReport()
    for number in range(recipe.num_shards):
        total.add(ShardReport.read(folder.shard_report(number)))
    with unfinished_file(folder.root / CHART) as unfinished:
        write_chart(total.counts, unfinished)
    recipe_text = write_yaml(without_places(to_plain_values(read_yaml(folder.recipe))))
    write_text(folder.root / CARD, dataset_card(recipe, _source_reports(recipe, folder), total, recipe_text))


def planned_table(recipe: MixRecipe, folder: BuildFolder) -> str:
    """What the mix will hold by the languages allotted, once all sources are read, before anything is translated."""
    return allocation_table(planned_counts(recipe, folder))


def write_planned_chart(recipe: MixRecipe, folder: BuildFolder) -> Path:
    """The chart of the same, in the work folder."""
    path = folder.work / f"planned_{CHART}"
    with unfinished_file(path) as unfinished:
        write_chart(planned_counts(recipe, folder), unfinished)
    return path


def planned_counts(recipe: MixRecipe, folder: BuildFolder) -> Counts:
    """Examples by (language allotted, task)."""
    total: Counts = Counts()
    for report in _source_reports(recipe, folder):
        total += report.counts
    return total


def push(folder: BuildFolder, repository: str, *, is_private: bool) -> str:
    """Upload data, card and chart in one commit; if it breaks off, a second call sends what is missing.

    Returns:
        Where it is.

    Raises:
        ValueError: the mix is to be private, and the repository is there and public.
    """
    api = HfApi()
    api.create_repo(repository, repo_type="dataset", private=is_private or None, exist_ok=True)
    if is_private and not api.dataset_info(repository).private:
        raise ValueError(f"{repository} is public already. Make it private on the Hub, or leave out --private.")
    done = api.upload_folder(
        repo_id=repository,
        repo_type="dataset",
        folder_path=folder.root,
        allow_patterns=["data/*.parquet", CARD, CHART],
        delete_patterns=["data/*.parquet"],
        commit_message="The mix",
    )
    return f"{repository}, commit {done.oid}"


def _source_reports(recipe: MixRecipe, folder: BuildFolder) -> list[SourceReport]:
    return [read_report(number, folder) for number in range(len(recipe.sources))]
