"""Who may do what on the loopback Hub, and the errors that say so as the Hub says them."""

from urllib.parse import unquote

from tests.hub.messages import HubError, Request
from tests.hub.repositories import DATASETS, SPACES, HubState, Repository


def signed_in(state: HubState, request: Request) -> str:
    """The user of the request's token."""
    user = state.users.get(request.token or "")
    if user is None:
        raise HubError(401, "Invalid username or password.")
    return user


def owner(name: str) -> str:
    return name.removeprefix(DATASETS).removeprefix(SPACES).split("/")[0]


def visible(state: HubState, request: Request, name: str) -> Repository:
    """A repository of which the user may see that it exists, and its list of files."""
    repository = state.repositories.get(name)
    user = state.users.get(request.token or "")
    is_hidden = repository is not None and repository.is_private and user not in {owner(name), *repository.readers}
    if repository is None or is_hidden:
        raise HubError(404 if user else 401, "Repository not found", "RepoNotFound")
    return repository


def readable(state: HubState, request: Request, name: str) -> Repository:
    """A repository whose files the user may read."""
    repository = visible(state, request, name)
    user = state.users.get(request.token or "")
    if repository.is_gated and user not in repository.readers:
        raise HubError(
            403 if user else 401,
            f"Access to model {name} is restricted and you are not in the authorized list. "
            f"Visit {state.url}/{name} to ask for access.",
            "GatedRepo",
        )
    return repository


def writable(state: HubState, request: Request, name: str) -> Repository:
    """A repository of the user's own."""
    repository, user = visible(state, request, name), signed_in(state, request)
    if user != owner(name):
        raise HubError(403, f"You don't have write access to {name}")
    return repository


def find_commit(repository: Repository, revision: str) -> str:
    """The commit that a revision, as it stands in a request, means."""
    sha = repository.resolve(unquote(revision))
    if sha is None:
        raise HubError(404, f"Invalid rev id: {unquote(revision)}", "RevisionNotFound")
    return sha
