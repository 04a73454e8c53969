"""Log-likelihoods of tokens from the hidden states that predict them, without logits of more than a chunk of states.

Over 250,000 words the head is most of the cost of a short answer, and its logits would be the largest tensors.

Shape suffixes: N = states, P = tokens looked up, D = width of the language model, C = states of a chunk, V =
vocabulary.
"""

import torch

from .prompt_batch import ScoringModel

# Logits of so many numbers at once: 64 MB in fp32 on a CPU, 512 MB elsewhere.
NUM_LOGITS_ON_CPU = 2**24
NUM_LOGITS_ON_DEVICE = 2**27


def token_log_likelihoods(
    model: ScoringModel, states_ND: torch.Tensor, states_P: list[int], tokens_P: list[int]
) -> torch.Tensor:
    """The log-likelihood of token `tokens_P[p]` where state `states_P[p]` predicts it, (P,) in fp64 on the CPU.

    Log-softmax is taken in fp32, as the loss takes it; fp64 is for the sums that follow.

    Args:
        states_P: ascending.
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
        place = (wanted_P[first:behind] - start).to(logits_CV.device)
        found.append(log_likelihoods_CV[place, tokens[first:behind].to(logits_CV.device)].double().cpu())
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)


def _chunk_size(model: ScoringModel, device: torch.device) -> int:
    num_words: int = model.config.text_config.get_text_config().vocab_size
    return max(1, (NUM_LOGITS_ON_CPU if device.type == "cpu" else NUM_LOGITS_ON_DEVICE) // num_words)
