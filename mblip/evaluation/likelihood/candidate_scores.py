"""Computes the log-likelihood of every candidate of every prompt. The model reads each prompt once.

Prompts of equal length are read together. Then we run the rows of their plans (candidate_plan.py), `batch_size` at a
time.

Shape suffixes: B = prompts, C = candidates of one prompt, K = tokens of the lead, R = rows, L = tokens of a row, N =
states, P = tokens looked up.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import torch

from ..model_inputs import Processor, encode_prompts
from .candidate_plan import CandidatePlan, PlannedRow, plan_candidates
from .candidate_tokens import CandidateTokens, Tokens
from .read_prompts import (
    DecoderOnlyPrompts,
    EncoderDecoderPrompts,
    PromptBatch,
    ReadPrompts,
    ScoringModel,
    continues_exactly,
    leaves_window,
)

# The most logits computed at once: 64 MB in fp32 on a CPU, 512 MB elsewhere.
NUM_LOGITS_ON_CPU = 2**24
NUM_LOGITS_ON_DEVICE = 2**27

Continue = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class CandidatePrompt:
    """A prompt, its candidate answers, and the rows of `image_features` for its images."""

    prompt: str
    candidates: tuple[str, ...]
    image_rows: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class CandidateScores:
    """For each candidate of a prompt: `log_likelihoods` (C,), summed over its tokens, in fp64 on the CPU, and
    `num_tokens` (C,), its end-of-sequence token included."""

    log_likelihoods: torch.Tensor
    num_tokens: torch.Tensor


def score_candidates(
    model: ScoringModel,
    processor: Processor,
    asked: Sequence[CandidatePrompt],
    image_features: torch.Tensor | None,
    *,
    batch_size: int,
) -> list[CandidateScores]:
    """Score all candidates, in the order of the prompts. The model must be in evaluation mode."""
    scorer = _Scorer(model, processor, image_features, batch_size)
    scored: dict[int, CandidateScores] = {}
    for positions, plans, prompts in scorer.groups(asked):
        scored |= zip(positions, scorer.score_group(plans, prompts), strict=True)
    return [scored[i] for i in range(len(asked))]


class _Scorer:
    """Scores groups of prompts. The prompts of a group have equal length, and so have their leads."""

    def __init__(
        self, model: ScoringModel, processor: Processor, image_features: torch.Tensor | None, batch_size: int
    ) -> None:
        self.model, self.processor, self.image_features = model, processor, image_features
        self.batch_size = batch_size
        self.is_encoder_decoder: bool = model.config.is_encoder_decoder
        self.uses_cache: bool | None = None  # set with the first group

    def groups(self, asked: Sequence[CandidatePrompt]) -> Iterator[tuple[list[int], list[CandidatePlan], PromptBatch]]:
        """Yield groups of prompts to read together: their positions, plans and inputs."""
        tokens = CandidateTokens(self.processor, is_encoder_decoder=self.is_encoder_decoder)
        plan = cache(plan_candidates)
        plans = [plan(tokens.of(each.prompt, len(each.image_rows), each.candidates)) for each in asked]
        ids = encode_prompts(self.processor, [each.prompt for each in asked], [len(each.image_rows) for each in asked])
        alike: dict[tuple[int, int], list[int]] = defaultdict(list)
        for i, (prompt, mine) in enumerate(zip(ids, plans, strict=True)):
            alike[len(prompt), len(mine.lead)].append(i)
        for group in alike.values():
            for start in range(0, len(group), self.batch_size):
                positions = group[start : start + self.batch_size]
                ids_BT = torch.tensor([ids[i] for i in positions], device=self.model.device)
                rows = [asked[i].image_rows for i in positions]
                yield positions, [plans[i] for i in positions], PromptBatch(ids_BT, rows, self.image_features)

    def score_group(self, plans: Sequence[CandidatePlan], prompts: PromptBatch) -> list[CandidateScores]:
        """The scores of each prompt's candidates."""
        leads_BK = torch.tensor([plan.lead for plan in plans], dtype=torch.long, device=self.model.device)
        reader = EncoderDecoderPrompts if self.is_encoder_decoder else DecoderOnlyPrompts
        read: ReadPrompts = reader(self.model, prompts, leads_BK)
        sizes = [len(plan.next_tokens) for plan in plans]
        totals = torch.cat(self._score_next_tokens(read, plans))
        starts = list(accumulate(sizes, initial=0))
        rows = [(prompt, row) for prompt, plan in enumerate(plans) for row in plan.rows]
        rows.sort(key=lambda entry: len(entry[1].tokens), reverse=True)
        if rows:
            self._check_cache(read, rows[0][1].tokens)
        for start in range(0, len(rows), self.batch_size):
            part = rows[start : start + self.batch_size]
            candidates = [starts[prompt] + wanted.candidate for prompt, row in part for wanted in row.wanted]
            totals.index_add_(0, torch.tensor(candidates), self._score_rows(read, part))
        if totals.isnan().any():
            raise ValueError(
                f"Log-likelihoods of candidates are NaN in {self.model.dtype}. Load the model in bfloat16 or float32; "
                "if they stay NaN, its weights are broken."
            )
        return [
            CandidateScores(total_C, torch.tensor(plan.num_tokens))
            for total_C, plan in zip(totals.split(sizes), plans, strict=True)
        ]

    def _check_cache(self, read: ReadPrompts, tokens: Tokens) -> None:
        """Check with the longest row whether the cache gives exact results."""
        if self.uses_cache is None or (self.uses_cache and leaves_window(read.cache, len(tokens))):
            self.uses_cache = continues_exactly(read, torch.tensor([tokens], device=self.model.device))

    def _score_next_tokens(self, read: ReadPrompts, plans: Sequence[CandidatePlan]) -> list[torch.Tensor]:
        """For each prompt, the log-likelihood (C,) of each candidate's lead and first token after it."""
        states_P: list[int] = []
        tokens_P: list[int] = []
        num_read = read.states.shape[1]
        for prompt, plan in enumerate(plans):
            states_P += [prompt * num_read + k for k in range(num_read - 1)]
            states_P += [(prompt + 1) * num_read - 1] * len(plan.next_tokens)
            tokens_P += [*plan.lead, *plan.next_tokens]
        found_P = token_log_likelihoods(self.model, read.states.flatten(0, 1), states_P, tokens_P)
        parts = found_P.split([len(plan.lead) + len(plan.next_tokens) for plan in plans])
        return [part[len(plan.lead) :] + part[: len(plan.lead)].sum() for part, plan in zip(parts, plans, strict=True)]

    def _score_rows(self, read: ReadPrompts, rows: Sequence[tuple[int, PlannedRow]]) -> torch.Tensor:
        """The log-likelihoods (P,) of the wanted tokens of `rows`, one row after another. Each entry of `rows` is the
        number of its prompt and the planned row."""
        longest = len(rows[0][1].tokens)
        lengths = [len(row.tokens) for _, row in rows]
        tokens_RL = torch.tensor(
            [(*row.tokens, *[0] * (longest - len(row.tokens))) for _, row in rows], device=self.model.device
        )
        run: Continue = read.continued if self.uses_cache else read.read_again
        states_RLD = run(torch.tensor([prompt for prompt, _ in rows]), tokens_RL)
        is_token_RL = torch.arange(longest) < torch.tensor(lengths)[:, None]
        positions = accumulate(lengths, initial=0)
        states_P = [
            position + wanted.offset
            for position, (_, row) in zip(positions, rows, strict=False)
            for wanted in row.wanted
        ]
        tokens_P = [wanted.token for _, row in rows for wanted in row.wanted]
        states_ND = states_RLD[is_token_RL.to(states_RLD.device)]
        return token_log_likelihoods(self.model, states_ND, states_P, tokens_P)


def token_log_likelihoods(
    model: ScoringModel, states_ND: torch.Tensor, states_P: list[int], tokens_P: list[int]
) -> torch.Tensor:
    """The log-likelihood of token `tokens_P[p]` where state `states_P[p]` predicts it, (P,) in fp64 on the CPU.

    Log-softmax runs in fp32, as in the loss; fp64 is for the sums that follow.

    Args:
        states_P: in ascending order.
    """
    device = states_ND.device
    wanted_P = torch.tensor(states_P, dtype=torch.long)
    tokens = torch.tensor(tokens_P, dtype=torch.long)
    size = _chunk_size(model, device)
    found = []
    for start in range(0, len(states_ND), size):
        first, behind = torch.searchsorted(wanted_P, torch.tensor([start, start + size])).tolist()
        if first == behind:
            continue
        logits_CV = model.logits_from_states(states_ND[start : start + size])
        log_likelihoods_CV = torch.log_softmax(logits_CV, dim=-1, dtype=torch.float32)
        position = (wanted_P[first:behind] - start).to(logits_CV.device)
        found.append(log_likelihoods_CV[position, tokens[first:behind].to(logits_CV.device)].double().cpu())
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)


def _chunk_size(model: ScoringModel, device: torch.device) -> int:
    vocab_size: int = model.config.text_config.get_text_config().vocab_size
    return max(1, (NUM_LOGITS_ON_CPU if device.type == "cpu" else NUM_LOGITS_ON_DEVICE) // vocab_size)
