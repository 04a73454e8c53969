"""The loopback Hub against the true client's own functions: only a Hub that behaves as the client expects tests us."""

import io

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from tests.hub.repositories import StoredFile
from tests.hub.server import TOKEN

LARGE = bytes(range(256)) * 40


@pytest.fixture
def api(client):
    return HfApi()


def test_the_client_signs_in_creates_commits_lists_and_downloads(hub, api):
    assert api.whoami()["name"] == "tester"
    assert api.create_repo("tester/new", private=True).repo_id == "tester/new"
    assert api.create_repo("tester/new", exist_ok=True).repo_id == "tester/new"
    additions = [CommitOperationAdd("a/x.bin", LARGE), CommitOperationAdd("README.md", b"---\nlicense: mit\n---\n")]
    sha = api.create_commit("tester/new", additions, commit_message="first").oid
    assert api.model_info("tester/new").sha == sha
    assert api.model_info("tester/new").private
    assert api.list_repo_files("tester/new") == [".gitattributes", "README.md", "a/x.bin"]
    assert [entry.path for entry in api.list_repo_tree("tester/new")] == [".gitattributes", "README.md", "a"]
    assert api.file_exists("tester/new", "a/x.bin")
    assert not api.file_exists("tester/new", "a/y.bin")
    with open(hf_hub_download("tester/new", "x.bin", subfolder="a"), "rb") as file:
        assert file.read() == LARGE
    api.create_commit("tester/new", [CommitOperationDelete("a/x.bin")], commit_message="second")
    assert hub.repositories["tester/new"].messages == ["initial", "first", "second"]
    assert sorted(hub.repositories["tester/new"].files) == [".gitattributes", "README.md"]


def test_a_revision_is_a_branch_a_tag_or_a_commit(hub, api):
    repository = hub.add("tester/model", {"x.txt": StoredFile(b"old", False)})
    old = repository.head
    api.create_tag("tester/model", tag="v1")
    api.create_branch("tester/model", branch="feature/x")
    api.upload_file(path_or_fileobj=b"new", path_in_repo="x.txt", repo_id="tester/model")
    api.upload_file(path_or_fileobj=b"branch", path_in_repo="x.txt", repo_id="tester/model", revision="feature/x")
    found = {}
    for revision in ("main", "v1", old, "feature/x"):
        with open(hf_hub_download("tester/model", "x.txt", revision=revision), "rb") as file:
            found[revision] = file.read()
    assert found == {"main": b"new", "v1": b"old", old: b"old", "feature/x": b"branch"}
    references = api.list_repo_refs("tester/model")
    assert {branch.name for branch in references.branches} == {"main", "feature/x"}
    assert [(tag.name, tag.target_commit) for tag in references.tags] == [("v1", old)]


@pytest.mark.parametrize(("part_size", "num_puts"), [(None, 1), (4000, 3)])
def test_a_large_file_travels_in_one_piece_or_in_parts_and_only_once(hub, api, part_size, num_puts):
    hub.part_size = part_size
    for name in ("tester/one", "tester/two"):
        api.create_repo(name)
        api.upload_file(path_or_fileobj=io.BytesIO(LARGE), path_in_repo="x.bin", repo_id=name)
        assert hub.repositories[name].files["x.bin"] == StoredFile(LARGE, is_large=True)
    assert len([request for request in hub.requests if request.method == "PUT"]) == num_puts


def test_the_token_never_goes_to_the_storage(hub, api):
    hub.add("tester/model", {"x.bin": StoredFile(LARGE, True)}, is_private=True)
    hf_hub_download("tester/model", "x.bin")
    stored = [request for request in hub.requests if request.is_to_storage]
    assert [request.token for request in stored] == [None]
    assert {request.token for request in hub.requests if not request.is_to_storage} == {TOKEN}


def test_a_renamed_repository_is_found_under_its_old_name(hub, api):
    hub.add("tester/new", {"x.txt": StoredFile(b"x", False)})
    hub.moved["tester/old"] = "tester/new"
    with open(hf_hub_download("tester/old", "x.txt"), "rb") as file:
        assert file.read() == b"x"


def test_private_gated_and_missing_things_have_their_own_errors(hub, client, api):
    files = {"x.txt": StoredFile(b"x", False)}
    hub.add("other/private", files, is_private=True)
    hub.add("other/gated", files, is_gated=True)
    for name, revision, error in (
        ("other/private", "main", RepositoryNotFoundError),
        ("other/nowhere", "main", RepositoryNotFoundError),
        ("other/gated", "main", GatedRepoError),
        ("other/gated", "v9", GatedRepoError),
    ):
        with pytest.raises(error, match=name):
            hf_hub_download(name, "x.txt", revision=revision)
    assert api.model_info("other/gated").gated == "manual"
    hub.repositories["other/gated"].readers.add("tester")
    with pytest.raises(RevisionNotFoundError, match="other/gated"):
        snapshot_download("other/gated", revision="v9")
    client.sign_out()
    with pytest.raises(GatedRepoError, match="other/gated"):
        hf_hub_download("other/gated", "x.txt")
