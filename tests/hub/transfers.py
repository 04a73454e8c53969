"""Files to and from the loopback Hub: small ones come from the Hub itself, large ones from the storage beside it.

A large file is uploaded before the commit that names it, in one piece or in parts, and is in the storage only when
all of it is there with the SHA-256 that was announced.
"""

import hashlib
import json
import re
from math import ceil
from urllib.parse import unquote

from tests.hub.access import find_commit, readable, writable
from tests.hub.messages import HubError, Request, Response, json_response
from tests.hub.repositories import HubState


def download(state: HubState, request: Request, name: str, revision: str, path: str) -> Response:
    """`/{name}/resolve/{revision}/{path}`: the file, or for a large one where it is."""
    if name in state.moved:
        return Response(307, {"Location": f"/{state.moved[name]}/resolve/{revision}/{path}"})
    repository = readable(state, request, name)
    sha = find_commit(repository, revision)
    file = repository.commits[sha].get(unquote(path))
    if file is None:
        raise HubError(404, "Entry not found", "EntryNotFound", X_Repo_Commit=sha)
    headers = {"X-Repo-Commit": sha, "ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
    if not file.is_large:
        return with_range(request, file.data, headers)
    headers |= {"X-Linked-Size": str(len(file.data)), "X-Linked-ETag": f'"{file.etag}"'}
    return Response(302, headers | {"Location": f"{state.storage_url}/{file.sha256}"})


def from_storage(state: HubState, request: Request, oid: str) -> Response:
    """A large file."""
    if oid not in state.objects:
        raise HubError(404, f"The storage holds no {oid}")
    return with_range(request, state.objects[oid], {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"})


def with_range(request: Request, data: bytes, headers: dict[str, str]) -> Response:
    """The bytes that `Range` asks for, or all."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if found is None:
        return Response(200, headers, data)
    start, end = int(found[1]), min(int(found[2] or len(data)), len(data) - 1)
    if start > end:
        return Response(416, headers | {"Content-Range": f"bytes */{len(data)}"})
    headers = headers | {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
    return Response(206, headers, data[start : end + 1])


def plan_uploads(state: HubState, request: Request, name: str) -> Response:
    """The batch interface of Git LFS: where each large file is to be uploaded; nothing for those already there."""
    writable(state, request, name)
    objects = []
    for wanted in json.loads(request.body)["objects"]:
        entry = {"oid": wanted["oid"], "size": wanted["size"]}
        if wanted["oid"] not in state.objects:
            verify_url = f"{state.url}/{name}.git/info/lfs/verify"
            entry["actions"] = {"upload": _upload_action(state, **entry), "verify": {"href": verify_url}}
        objects.append(entry)
    return json_response({"transfer": "basic", "objects": objects})


def _upload_action(state: HubState, oid: str, size: int) -> dict[str, object]:
    if state.part_size is None or size <= state.part_size:
        return {"href": f"{state.storage_url}/{oid}"}
    numbers = range(1, ceil(size / state.part_size) + 1)
    parts = {str(number): f"{state.storage_url}/{oid}/{number}" for number in numbers}
    return {"href": f"{state.url}/complete/{oid}", "header": {"chunk_size": str(state.part_size), **parts}}


def store(state: HubState, request: Request, oid: str) -> Response:
    """A large file in one piece."""
    _keep(state, oid, request.body)
    return Response()


def store_part(state: HubState, request: Request, oid: str, number: str) -> Response:
    """A part of a large file."""
    state.parts[oid, int(number)] = request.body
    return Response(200, {"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'})


def complete(state: HubState, request: Request, oid: str) -> Response:
    """All parts of a large file are there."""
    parts = [state.parts[oid, part["partNumber"]] for part in json.loads(request.body)["parts"]]
    _keep(state, oid, b"".join(parts))
    return json_response({})


def _keep(state: HubState, oid: str, data: bytes) -> None:
    if hashlib.sha256(data).hexdigest() != oid:
        raise HubError(400, f"{len(data)} bytes came, whose SHA-256 is not {oid}")
    state.objects[oid] = data


def verify(state: HubState, request: Request, name: str) -> Response:
    """Whether a large file has arrived."""
    writable(state, request, name)
    wanted = json.loads(request.body)
    if len(state.objects.get(wanted["oid"], b"")) != wanted["size"]:
        raise HubError(404, f"{wanted['oid']} has not arrived")
    return json_response({})
