"""A finished mix on the Hub, through its own client."""

from huggingface_hub import HfApi

from .finishing import CARD, CHART
from .folder import BuildFolder


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
