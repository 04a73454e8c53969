"""Plans how to score the candidates of a prompt without computing a shared prefix twice.

- Tokens that all candidates start with are the lead. (Some chat templates write the same text before every answer.)
  The model reads the lead together with the prompt.
- The state after the lead scores the next token of every candidate.
- The remaining tokens of a candidate form a row. A candidate that is a prefix of another one needs no row: for "bus"
  and "bus stop" we run "bus stop" only, and look up both ends in it.
- Other shared prefixes are computed once per candidate. Few candidates share more than a token, and plain rows are
  fast with every model of transformers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .candidate_tokens import Tokens


@dataclass(frozen=True)
class WantedToken:
    """A token of a candidate, predicted by the state of the row's token number `offset` (from 0)."""

    offset: int
    token: int
    candidate: int


@dataclass(frozen=True)
class PlannedRow:
    """Tokens to run after prompt and lead, and the tokens to look up in their states."""

    tokens: Tokens
    wanted: tuple[WantedToken, ...]


@dataclass(frozen=True)
class CandidatePlan:
    """How the candidates of a prompt are scored.

    Args:
        lead: the tokens that all candidates start with. It leaves at least one token of each candidate.
        next_tokens: for each candidate, its token after the lead.
        rows: the tokens after that, for the candidates that have more.
        num_tokens: the length of each candidate, its end-of-sequence token included.
    """

    lead: Tokens
    next_tokens: Tokens
    rows: tuple[PlannedRow, ...]
    num_tokens: tuple[int, ...]


def plan_candidates(candidates: Sequence[Tokens]) -> CandidatePlan:
    """Plan the scoring of candidates, each of at least one token."""
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
    """The length of the prefix that all share. At least one token of each stays; a single candidate shares none."""
    first, last = min(candidates), max(candidates)  # their common prefix is that of all candidates
    longest = min(len(tokens) for tokens in candidates) - 1 if len(candidates) > 1 else 0
    return next((i for i in range(longest) if first[i] != last[i]), longest)


def _longest_continuations(continuations: Sequence[Tokens]) -> dict[Tokens, Tokens]:
    """Map each sequence to a longest one that starts with it, or to itself."""
    ordered = sorted(set(continuations))  # puts sequences with the same prefix next to each other
    position = {ordered[-1]: ordered[-1]}
    for shorter, longer in reversed(list(pairwise(ordered))):
        position[shorter] = position[longer] if longer[: len(shorter)] == shorter else shorter
    return position


def _offset(wanted: WantedToken) -> int:
    return wanted.offset
