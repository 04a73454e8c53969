"""What has to be computed to score the candidates of a prompt: nothing twice that they share from the beginning.

A candidate's first tokens are scored where the prompt has been read, for all at once; what they all begin with (as
some chat templates write before every answer) is read with it. Behind that, a candidate that is the beginning of
another needs no row of its own: of "bus" and "bus stop" the second is computed alone, and both ends are looked up in
it. Candidates that part later are computed apart from there on: few share more than a token, and one row per candidate
keeps every model of transformers fast.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .candidate_tokens import Tokens


@dataclass(frozen=True)
class WantedToken:
    """A token of a candidate that the state behind the row's token number `offset` predicts."""

    offset: int
    token: int
    candidate: int


@dataclass(frozen=True)
class PlannedRow:
    """Tokens to run behind prompt and lead, and what is looked up in their states."""

    tokens: Tokens
    wanted: tuple[WantedToken, ...]


@dataclass(frozen=True)
class CandidatePlan:
    """How the candidates of a prompt are scored.

    Args:
        lead: the tokens that all begin with, read with the prompt; never the last token of one.
        next_tokens: the token of each candidate behind the lead.
        rows: the tokens that follow it, where a candidate is longer.
        num_tokens: of each candidate, end included.
    """

    lead: Tokens
    next_tokens: Tokens
    rows: tuple[PlannedRow, ...]
    num_tokens: tuple[int, ...]


def plan_candidates(candidates: Sequence[Tokens]) -> CandidatePlan:
    """The plan for candidates of at least one token each."""
    num_shared = _num_shared(candidates)
    continuations = [tokens[num_shared:-1] for tokens in candidates]
    position = _longest_continuations(continuations)
    wanted: dict[Tokens, list[WantedToken]] = {position[mine]: [] for mine in continuations if mine}
    for number, (tokens, mine) in enumerate(zip(candidates, continuations, strict=True)):
        behind = tokens[num_shared + 1 :]
        if behind:
            wanted[position[mine]] += [WantedToken(offset, token, number) for offset, token in enumerate(behind)]
    return CandidatePlan(
        lead=candidates[0][:num_shared],
        next_tokens=tuple(tokens[num_shared] for tokens in candidates),
        rows=tuple(PlannedRow(row, tuple(sorted(found, key=_offset))) for row, found in wanted.items()),
        num_tokens=tuple(len(tokens) for tokens in candidates),
    )


def _num_shared(candidates: Sequence[Tokens]) -> int:
    """How many tokens all begin with, so that at least one is left of each; a single candidate shares none."""
    first, last = min(candidates), max(candidates)  # what these share, all between them share
    longest = min(len(tokens) for tokens in candidates) - 1 if len(candidates) > 1 else 0
    return next((i for i in range(longest) if first[i] != last[i]), longest)


def _longest_continuations(continuations: Sequence[Tokens]) -> dict[Tokens, Tokens]:
    """For each sequence one that it is the beginning of, or itself: in order, what begins alike stands together."""
    ordered = sorted(set(continuations))
    position = {ordered[-1]: ordered[-1]}
    for shorter, longer in reversed(list(pairwise(ordered))):
        position[shorter] = position[longer] if longer[: len(shorter)] == shorter else shorter
    return position


def _offset(wanted: WantedToken) -> int:
    return wanted.offset
