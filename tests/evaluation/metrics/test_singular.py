"""Singulars as pattern.en makes them, for the words of CHAIR."""

import pytest

from mblip.evaluation.metrics.singular import singular


@pytest.mark.parametrize(
    ("plural", "expected"),
    [
        ("dogs", "dog"),
        ("children", "child"),
        ("grandchildren", "grandchild"),
        ("people", "person"),
        ("policemen", "policeman"),
        ("women", "woman"),
        ("geese", "goose"),
        ("oxen", "ox"),
        ("mice", "mouse"),
        ("ponies", "pony"),
        ("cookies", "cooky"),
        ("benches", "bench"),
        ("toothbrushes", "toothbrush"),
        ("boxes", "box"),
        ("glasses", "glass"),
        ("buses", "bus"),
        ("minibuses", "minibus"),
        ("buffaloes", "buffalo"),
        ("calves", "calf"),
        ("knives", "knife"),
        ("gloves", "glove"),
        ("microwaves", "microwave"),
        ("horses", "horse"),
        ("zebrae", "zebra"),
        ("skis", "ski"),
    ],
)
def test_plurals_become_singulars(plural, expected):
    assert singular(plural) == expected


@pytest.mark.parametrize(
    "word", ["dog", "sheep", "aircraft", "scissors", "luggage", "pizza", "taxi", "dogs'", "a", "."]
)
def test_singulars_stay(word):
    assert singular(word) == word


@pytest.mark.parametrize(
    ("word", "odd"),
    [("bus", "bu"), ("glass", "glas"), ("tennis", "tenni"), ("doggies", "doggies"), ("turkeies", "turkeie")],
)
def test_what_pattern_gets_wrong_stays_wrong(word, odd):
    assert singular(word) == odd
