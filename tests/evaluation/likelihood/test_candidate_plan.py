"""What is computed to score candidates: what they share from the beginning once, and every token looked up."""

import random

import pytest

from mblip.evaluation.likelihood.candidate_plan import PlannedRow, WantedToken, plan_candidates

END = 2


def test_the_beginning_of_another_candidate_has_no_row_of_its_own():
    bus, bus_stop, car = (10, END), (10, 11, END), (12, END)
    plan = plan_candidates([bus, bus_stop, car])
    assert plan.lead == ()
    assert plan.next_tokens == (10, 10, 12)
    assert plan.num_tokens == (2, 3, 2)
    assert sorted(plan.rows, key=lambda row: row.tokens) == [
        PlannedRow((10, 11), (WantedToken(0, END, 0), WantedToken(0, 11, 1), WantedToken(1, END, 1))),
        PlannedRow((12,), (WantedToken(0, END, 2),)),
    ]


def test_what_all_begin_with_is_read_with_the_prompt():
    plan = plan_candidates([(7, 8, 10, END), (7, 8, 11, 12, END)])
    assert plan.lead == (7, 8)
    assert plan.next_tokens == (10, 11)
    assert plan.rows == (
        PlannedRow((10,), (WantedToken(0, END, 0),)),
        PlannedRow((11, 12), (WantedToken(0, 12, 1), WantedToken(1, END, 1))),
    )


def test_at_least_one_token_of_each_is_left_behind_the_lead():
    plan = plan_candidates([(7, END), (7, END, 5), (7, END)])
    assert plan.lead == (7,)
    assert plan.next_tokens == (END, END, END)
    assert plan.rows == (PlannedRow((END,), (WantedToken(0, 5, 1),)),)


def test_a_single_candidate_has_no_lead_so_that_prompts_with_one_each_are_read_together():
    plan = plan_candidates([(7, 8, END)])
    assert plan.lead == ()
    assert plan.rows == (PlannedRow((7, 8), (WantedToken(0, 8, 0), WantedToken(1, END, 0))),)


def test_candidates_of_one_token_need_no_row():
    assert plan_candidates([(7,), (8,)]).rows == ()


@pytest.mark.parametrize("seed", range(20))
def test_every_token_of_every_candidate_is_looked_up_behind_its_own_beginning(seed):
    rng = random.Random(seed)
    candidates = [(*rng.choices((5, 6, 7), k=rng.randint(1, 5)), END) for _ in range(rng.randint(1, 12))]
    plan = plan_candidates(candidates)
    read = len(plan.lead) + 1
    found = {number: dict(enumerate((*plan.lead, following))) for number, following in enumerate(plan.next_tokens)}
    for row in plan.rows:
        for wanted in row.wanted:
            position = read + wanted.offset
            assert (*plan.lead, *row.tokens)[:position] == candidates[wanted.candidate][:position]
            assert found[wanted.candidate].setdefault(position, wanted.token) == wanted.token
    assert [tuple(found[number][i] for i in sorted(found[number])) for number in found] == candidates
    assert sum(len(row.wanted) for row in plan.rows) == sum(len(answer) - read for answer in candidates)
