"""What the loopback Hub answers: the part of the Hub's interface that huggingface_hub 2.4 and transformers 5.23 use.

Written from the client's source (`hf_api.py`, `_commit_api.py`, `lfs.py`, `file_download.py`): paths, status codes,
headers and error codes are those that the client sends and looks for. Files travel in `transfers.py`.
"""

import base64
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote

import yaml

from tests.hub.access import find_commit, signed_in, visible, writable
from tests.hub.messages import HubError, Request, Response, json_response
from tests.hub.repositories import DATASETS, SPACES, HubState, Repository, StoredFile, is_large
from tests.hub.transfers import complete, download, from_storage, plan_uploads, store, store_part, verify


def answer(state: HubState, request: Request) -> Response:
    """The response to a request."""
    try:
        if request.token is not None and request.token not in state.users:
            raise HubError(401, "Invalid credentials in Authorization header")
        for methods, pattern, route in STORAGE_ROUTES if request.is_to_storage else ROUTES:
            found = re.fullmatch(pattern, request.target)
            if found and request.method in methods:
                return route(state, request, **{k: v for k, v in found.groupdict().items() if v is not None})
        raise HubError(404, f"The loopback Hub knows no {request.method} {request.path}")
    except HubError as error:
        return error.response()


def who_am_i(state: HubState, request: Request) -> Response:
    name = signed_in(state, request)
    return json_response({"type": "user", "name": name, "orgs": [], "auth": {"type": "access_token"}})


def create_repository(state: HubState, request: Request) -> Response:
    user, wanted = signed_in(state, request), json.loads(request.body)
    name = f"{wanted.get('organization') or user}/{wanted['name']}"
    if not name.startswith(f"{user}/"):
        raise HubError(403, f"You don't have the rights to create a model under the namespace of {name}")
    name = {"dataset": DATASETS, "space": SPACES}.get(wanted.get("type"), "") + name
    content = {"url": f"{state.url}/{name}", "name": name, "id": "0"}
    if name in state.repositories:
        return json_response(content | {"error": "You already created this model repo"}, 409)
    state.repositories[name] = Repository(name, is_private=wanted.get("visibility") == "private")
    return json_response(content)


def validate_card(state: HubState, request: Request) -> Response:
    """A small part of the Hub's check: the metadata is YAML, and base models are names of repositories."""
    found = re.match(r"---\n(.*?)\n---\n", json.loads(request.body)["content"], flags=re.DOTALL)
    metadata = yaml.safe_load(found[1]) if found else {}
    base_models = (metadata or {}).get("base_model") or []
    wrong = [name for name in [base_models] if isinstance(name, str)] or list(base_models)
    errors = [
        {"message": f'"base_model" with value "{name}" is not valid. Use a model id from https://hf.co/models.'}
        for name in wrong
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name)
    ]
    return json_response({"errors": errors, "warnings": []}, 400 if errors else 200)


def describe(state: HubState, request: Request, name: str, revision: str = "main") -> Response:
    repository = visible(state, request, name)
    sha = find_commit(repository, revision)
    files = [{"rfilename": path} for path in sorted(repository.commits[sha])]
    return json_response(
        {
            "id": repository.name.removeprefix(DATASETS).removeprefix(SPACES),
            "modelId": repository.name,
            "sha": sha,
            "private": repository.is_private,
            "gated": "manual" if repository.is_gated else False,
            "siblings": files,
            "tags": [],
        }
    )


def list_tree(state: HubState, request: Request, name: str, revision: str, folder: str = "") -> Response:
    repository = visible(state, request, name)
    sha = find_commit(repository, revision)
    is_recursive = request.query.get("recursive", ["false"])[0].lower() == "true"
    folder, entries = folder.replace("%2F", "/"), {}
    for path, file in sorted(repository.commits[sha].items()):
        if folder and not path.startswith(f"{folder}/"):
            continue
        rest = path.removeprefix(f"{folder}/")
        if "/" in rest and not is_recursive:
            top = path.removesuffix(rest) + rest.split("/")[0]
            entries[top] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": top}
        else:
            entries[path] = describe_file(path, file)
    if folder and not entries:
        raise HubError(404, f"{folder} does not exist on {revision!r}", "EntryNotFound")
    return json_response(list(entries.values()))


def describe_paths(state: HubState, request: Request, name: str, revision: str) -> Response:
    """What stands at some paths; nothing is said of those where nothing is."""
    repository = visible(state, request, name)
    files = repository.commits[find_commit(repository, revision)]
    entries = []
    for path in parse_qs(request.body.decode())["paths"]:
        if path in files:
            entries.append(describe_file(path, files[path]))
        elif any(other.startswith(f"{path}/") for other in files):
            entries.append({"type": "directory", "oid": "0" * 40, "path": path})
    return json_response(entries)


def describe_file(path: str, file: StoredFile) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "size": len(file.data), "oid": file.git_id}
    large = {"oid": file.sha256, "size": len(file.data), "pointerSize": 130}
    return entry | ({"lfs": large} if file.is_large else {})


def list_references(state: HubState, request: Request, name: str) -> Response:
    repository = visible(state, request, name)

    def entries(references: dict[str, str], kind: str) -> list[dict[str, str]]:
        return [{"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": sha} for n, sha in references.items()]

    branches, tags = entries(repository.branches, "heads"), entries(repository.tags, "tags")
    return json_response({"branches": branches, "tags": tags, "converts": []})


def create_branch(state: HubState, request: Request, name: str, revision: str) -> Response:
    repository, branch = writable(state, request, name), unquote(revision)
    if branch in repository.branches:
        raise HubError(409, f"Reference refs/heads/{branch} already exists")
    start = json.loads(request.body or b"{}").get("startingPoint", "main")
    repository.branches[branch] = find_commit(repository, start)
    return json_response({})


def create_tag(state: HubState, request: Request, name: str, revision: str) -> Response:
    repository = writable(state, request, name)
    repository.tags[json.loads(request.body)["tag"]] = find_commit(repository, revision)
    return json_response({})


def announce_files(state: HubState, request: Request, name: str, revision: str) -> Response:
    """Which files of a coming commit are large, and what stands at their paths already."""
    repository = writable(state, request, name)
    sha = find_commit(repository, revision)
    there = repository.commits[sha]
    files = []
    for file in json.loads(request.body)["files"]:
        entry = {"path": file["path"], "shouldIgnore": False}
        entry["uploadMode"] = "lfs" if is_large(file["path"], file["size"]) else "regular"
        if file["path"] in there:
            entry["oid"] = there[file["path"]].etag
        files.append(entry)
    return json_response({"files": files})


def commit(state: HubState, request: Request, name: str, revision: str) -> Response:
    """All operations of a commit, or none: it is refused while a large file is not in the storage."""
    repository = writable(state, request, name)
    sha = find_commit(repository, revision)
    lines = [json.loads(line) for line in request.body.splitlines()]
    header, files = lines[0]["value"], dict(repository.commits[sha])
    if header.get("parentCommit") not in (None, sha):
        raise HubError(412, "A commit has happened since. Please refresh and try again.")
    for line in lines[1:]:
        _apply(state, files, line["key"], line["value"])
    oid = repository.commit(unquote(revision), files, header["summary"])
    return json_response({"success": True, "commitOid": oid, "commitUrl": f"{state.url}/{name}/commit/{oid}"})


def _apply(state: HubState, files: dict[str, StoredFile], key: str, value: dict[str, Any]) -> None:
    path = value["path"]
    if key == "file":
        files[path] = StoredFile(base64.b64decode(value["content"]), is_large=False)
    elif key == "lfsFile":
        if value["oid"] not in state.objects:
            raise HubError(400, f"LFS pointer pointed to a file that does not exist: {path}")
        files[path] = StoredFile(state.objects[value["oid"]], is_large=True)
    elif key == "deletedFile":
        if path not in files:
            raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
        del files[path]
    else:
        raise HubError(400, f"The loopback Hub knows no operation {key}")


Route = Callable[..., Response]
NAME = r"(?P<name>(?:datasets/|spaces/)?[^/]+/[^/]+)"
API = rf"/api/(?:models/|(?=datasets/|spaces/)){NAME}"
REVISION = r"(?P<revision>[^/]+)"
OID = r"(?P<oid>[0-9a-f]{64})"
ROUTES: tuple[tuple[tuple[str, ...], str, Route], ...] = (
    (("GET",), r"/api/whoami-v2", who_am_i),
    (("POST",), r"/api/repos/create", create_repository),
    (("POST",), r"/api/validate-yaml", validate_card),
    (("GET",), rf"{API}", describe),
    (("GET",), rf"{API}/revision/{REVISION}", describe),
    (("GET",), rf"{API}/tree/{REVISION}(?:/(?P<folder>.+))?", list_tree),
    (("GET",), rf"{API}/refs", list_references),
    (("POST",), rf"{API}/paths-info/{REVISION}", describe_paths),
    (("POST",), rf"{API}/branch/{REVISION}", create_branch),
    (("POST",), rf"{API}/tag/{REVISION}", create_tag),
    (("POST",), rf"{API}/preupload/{REVISION}", announce_files),
    (("POST",), rf"{API}/commit/{REVISION}", commit),
    (("GET", "HEAD"), rf"/{NAME}/resolve/{REVISION}/(?P<path>.+)", download),
    (("POST",), rf"/{NAME}\.git/info/lfs/objects/batch", plan_uploads),
    (("POST",), rf"/{NAME}\.git/info/lfs/verify", verify),
    (("POST",), rf"/complete/{OID}", complete),
)
STORAGE_ROUTES: tuple[tuple[tuple[str, ...], str, Route], ...] = (
    (("GET", "HEAD"), rf"/{OID}", from_storage),
    (("PUT",), rf"/{OID}", store),
    (("PUT",), rf"/{OID}/(?P<number>\d+)", store_part),
)
