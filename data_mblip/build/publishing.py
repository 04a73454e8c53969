"""A finished mix on the Hub, through its own client."""

from huggingface_hub import HfApi

from .finishing import CARD, CHART
from .folder import BuildFolder


def push(folder: BuildFolder, repository: str, *, is_private: bool) -> str:
    """Upload data, card and chart in one commit; if it breaks off, a second call sends what is missing.

    Returns:
        Where it is.
    """
    api = HfApi()
    api.create_repo(repository, repo_type="dataset", private=is_private, exist_ok=True)
    done = api.upload_folder(
        repo_id=repository,
        repo_type="dataset",
        folder_path=folder.root,
        allow_patterns=["data/*.parquet", CARD, CHART],
        delete_patterns=["data/*.parquet"],
        commit_message="The mix",
    )
    return f"{repository}, commit {done.oid}"
