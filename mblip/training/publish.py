"""Publish a finished run on the Hub: its model, or only its adapter.

    mblip publish outputs/quickstart NAME/REPOSITORY
    mblip publish outputs/quickstart NAME/REPOSITORY --adapter
    mblip publish outputs/quickstart NAME/REPOSITORY --space

A repository changes in a single commit, after all files have arrived. If something fails, the repository stays as it
was. Run the command again to send the files that are missing. We use the token of the Hub's client (`hf auth login` or
HF_TOKEN).

An adapter names its base, which others must be able to load. If the run composed two components, the base is a
configuration without weights, and we push it to a repository of its own, `NAME/REPOSITORY-base`. PEFT and transformers
load a base by repository name only, so it cannot be a subfolder of the adapter's repository. With both at the top of
one repository, `from_pretrained` would load the adapter as part of the base, and PEFT would add it a second time.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HFValidationError, HTTPError, RepositoryNotFoundError, RevisionNotFoundError

from mblip.atomic_write import read_json
from mblip.loading import check_base

from .published_files import RESTORE, Files, adapter_files, base_files, check_finished, model_files
from .space import space_files

CommitOperation = CommitOperationAdd | CommitOperationCopy | CommitOperationDelete
WEIGHT_SUFFIXES = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json")


def main(arguments: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="mblip publish", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_folder", type=Path, help="the output folder of a finished run")
    parser.add_argument("repository", help="NAME/REPOSITORY on the Hub; created if it does not exist")
    parser.add_argument("--private", action="store_true", help="create a private repository")
    parser.add_argument("--remote-code", action="store_true", help="add the code, for `trust_remote_code=True`")
    parser.add_argument("--adapter", action="store_true", help="push the adapter instead of the model")
    parser.add_argument("--space", action="store_true", help="also push a Space of the same name: `mblip demo` of it")
    given = parser.parse_args(arguments)
    urls = publish(
        given.run_folder,
        given.repository,
        is_private=given.private,
        with_code=given.remote_code,
        is_adapter=given.adapter,
        with_space=given.space,
    )
    print("\n".join(urls))


def publish(
    run_folder: Path,
    repo: str,
    *,
    is_private: bool = False,
    with_code: bool = False,
    is_adapter: bool = False,
    with_space: bool = False,
) -> list[str]:
    """Push a run's model or adapter to the Hub.

    Args:
        is_private: create private repositories. An existing repository must be private, too.
        with_code: also push the code of model and processor.
        with_space: also push a Space of the same name, after the model.

    Returns:
        The URLs of the commits, one for each repository.

    Raises:
        ValueError: the run is not finished or lacks files, the adapter's base is not on the Hub, the repository is
            public despite `is_private`, or there is no token.
        OSError: the Hub refuses the request or cannot be reached.
    """
    check_finished(run_folder, is_adapter=is_adapter)
    if get_token() is None:
        raise ValueError("Found no token for the Hub. Sign in with `hf auth login`, or set HF_TOKEN.")
    hub = _Hub(HfApi(), is_private)
    urls: list[str] = []
    try:
        if is_adapter:
            _push_adapter(hub, run_folder, repo, urls, with_code=with_code)
        else:
            files = model_files(run_folder, repo, lambda name: hub.commit_of(name) is not None, with_code=with_code)
            urls.append(hub.push(repo, files, f"Model of the run {run_folder.name}"))
        if with_space:
            urls.append(hub.push(repo, space_files(repo), f"Demo of the run {run_folder.name}", repo_type="space"))
    except (HTTPError, ConnectionError) as error:
        raise ConnectionError(
            f"The push to the Hub failed ({type(error).__name__}: {error}). Known to be pushed: "
            f"{', '.join(urls) or 'nothing'}. Run the same command again: uploaded files are kept."
        ) from error
    return urls


def _push_adapter(hub: "_Hub", run_folder: Path, repo: str, urls: list[str], *, with_code: bool) -> None:
    """Push an adapter, and before it a base that the run composed. Each commit's URL is added to `urls`."""
    base = read_json(run_folder / "adapter" / "adapter_config.json", RESTORE)["base_model_name_or_path"]
    if (run_folder / "base").is_dir():
        components = _pinned_components(hub, run_folder / "base")
        base = f"{repo}-base"
        files = base_files(run_folder, components, with_code=with_code)
        urls.append(hub.push(base, files, f"Base of the run {run_folder.name}, without weights"))
    elif hub.commit_of(base) is None:
        raise ValueError(
            f"The adapter's base is {base}, which others cannot load from the Hub. Publish the base and train from "
            "its name on the Hub, or leave out --adapter to publish the whole model."
        )
    else:
        check_base(base)
    urls.append(
        hub.push(
            repo, adapter_files(run_folder, repo, base, with_code=with_code), f"Adapter of the run {run_folder.name}"
        )
    )


def _pinned_components(hub: "_Hub", base: Path) -> Mapping[str, Any]:
    """The components that a base names, each at a commit: of the revision it names, or of the newest."""
    parents = read_json(base / "config.json", RESTORE)["parents"]
    if parents is None:
        raise ValueError(
            f"The adapter's base, {base}, is a whole model that the run wrote, expected one on the Hub or a "
            "composition. Leave out --adapter to publish the whole trained model."
        )
    revisions = {}
    for name in (name for name in ("blip2", "vision", "qformer", "language_model") if parents.get(name)):
        revisions[f"{name}_revision"] = hub.commit_of(parents[name], parents[f"{name}_revision"])
        if revisions[f"{name}_revision"] is None:
            raise ValueError(
                f"The adapter's base composes {parents[name]} (revision {parents[f'{name}_revision']}), which "
                "others cannot load from the Hub. Publish it and train with its name on the Hub, or leave out "
                "--adapter to publish the whole model."
            )
    return parents | revisions


@dataclass(frozen=True)
class _Hub:
    """The calls to the Hub that this command makes."""

    api: HfApi
    is_private: bool

    def commit_of(self, name: str, revision: str | None = None) -> str | None:
        """The commit of a model on the Hub that readers of the published model can load; None if there is none.

        If we publish publicly, the model must be public, too. A local path never counts, even if a repository on the
        Hub has the same name.
        """
        if os.path.exists(name):
            return None
        try:
            return self.api.model_info(name, revision=revision, token=None if self.is_private else False).sha
        except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError):
            return None

    def push(self, repo: str, files: Files, message: str, repo_type: str = "model") -> str:
        """Push these files in one commit, and delete old weight files that are not among them.

        `upload_folder` would split a large folder into several commits.
        """
        sdk = "gradio" if repo_type == "space" else None
        where: dict[str, Any] = {"repo_id": repo, "repo_type": repo_type}
        self.api.create_repo(**where, private=self.is_private or None, exist_ok=True, space_sdk=sdk)
        info: Any = self.api.repo_info(**where)
        if self.is_private and not info.private:
            raise ValueError(f"{repo} exists and is public. Make it private on the Hub, or leave out --private.")
        there = [sibling.rfilename for sibling in info.siblings or []]
        stale = [path for path in there if path.endswith(WEIGHT_SUFFIXES) and path not in files]
        operations: list[CommitOperation] = [CommitOperationAdd(path, content) for path, content in files.items()]
        operations += [CommitOperationDelete(path) for path in stale]
        try:
            commit = self.api.create_commit(
                **where, operations=operations, commit_message=message, parent_commit=info.sha
            )
        except RuntimeError as error:  # the client raises it if a file cannot be uploaded
            raise ConnectionError(f"{error} {repo} is unchanged. ({error.__cause__})") from error
        return commit.commit_url
