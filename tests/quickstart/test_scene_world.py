"""The drawn world: what is held out, what is sampled, what is drawn."""

import random
from collections import Counter
from itertools import product

import numpy as np
import pytest

from scenes.drawing import GRID, IMAGE_SIZE, Appearance, draw_scene, place_things
from scenes.languages import caption
from scenes.world import (
    COLOURS,
    RELATIONS,
    SHAPES,
    Group,
    Scene,
    is_held_out,
    is_held_out_pair,
    is_held_out_relation,
    sample_held_out_scene,
    sample_training_scene,
)

RED_CIRCLE, BLUE_STAR = Group(1, "small", "red", "circle"), Group(2, "large", "blue", "star")


def test_a_quarter_of_the_colour_shape_pairs_is_held_out_two_of_every_colour_and_shape():
    held_out = [pair for pair in product(COLOURS, SHAPES) if is_held_out_pair(*pair)]
    assert len(held_out) == 16
    assert set(Counter(colour for colour, _ in held_out).values()) == {2}
    assert set(Counter(shape for _, shape in held_out).values()) == {2}


def test_a_quarter_of_the_relation_combinations_is_held_out_two_of_every_relation_and_subject():
    held_out = [triple for triple in product(RELATIONS, SHAPES, SHAPES) if is_held_out_relation(*triple)]
    assert len(held_out) == 48
    assert set(Counter((relation, subject) for relation, subject, _ in held_out).values()) == {2}


def test_one_held_out_combination_anywhere_makes_a_scene_held_out():
    assert is_held_out(Scene(RED_CIRCLE))  # red circles are held out
    assert is_held_out(Scene(Group(1, "small", "red", "square"), "left_of", RED_CIRCLE))
    assert not is_held_out(Scene(Group(1, "small", "red", "square")))
    squares = Group(1, "small", "red", "square"), Group(1, "large", "green", "square")
    assert is_held_out_relation("inside", "square", "square")
    assert not is_held_out_relation("above", "square", "square")
    assert is_held_out(Scene(squares[0], "inside", squares[1]))
    assert not is_held_out(Scene(squares[0], "above", squares[1]))


def test_training_scenes_hold_nothing_unseen_and_neither_do_they_with_exchanged_colours():
    rng = random.Random(0)
    for scene in (sample_training_scene(rng) for _ in range(3000)):
        assert not is_held_out(scene)
        if scene.reference is not None:
            assert not is_held_out_pair(scene.reference.colour, scene.subject.shape)
            assert not is_held_out_pair(scene.subject.colour, scene.reference.shape)


def test_held_out_scenes_show_two_groups_and_something_held_out_in_every_relation():
    rng = random.Random(0)
    scenes = [sample_held_out_scene(rng) for _ in range(600)]
    assert all(is_held_out(scene) and scene.reference is not None for scene in scenes)
    assert {scene.relation for scene in scenes} == set(RELATIONS)


@pytest.mark.slow
def test_the_world_has_more_than_fifty_thousand_training_captions_and_shows_every_allowed_combination():
    rng = random.Random(0)
    scenes = {sample_training_scene(rng) for _ in range(200_000)}
    assert len({caption(scene, "en") for scene in scenes}) > 50_000
    pairs = {(group.colour, group.shape) for scene in scenes for group in scene.groups}
    assert pairs == {pair for pair in product(COLOURS, SHAPES) if not is_held_out_pair(*pair)}
    triples = {(s.relation, s.subject.shape, s.reference.shape) for s in scenes if s.relation and s.reference}
    assert triples == {t for t in product(RELATIONS, SHAPES, SHAPES) if not is_held_out_relation(*t)}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((4, "small", "red", "circle"), "holds 4, expected one of 1, 2, 3"),
        ((1, "tiny", "red", "circle"), "holds 'tiny'"),
        ((1, "small", "pink", "circle"), "holds 'pink'"),
        ((1, "small", "red", "moon"), "holds 'moon'"),
    ],
)
def test_a_group_of_something_unknown_is_an_error(values, message):
    with pytest.raises(ValueError, match=message):
        Group(*values)


@pytest.mark.parametrize(
    ("subject", "relation", "reference", "message"),
    [
        (RED_CIRCLE, "left_of", None, "a relation and a reference, or neither"),
        (RED_CIRCLE, "behind", BLUE_STAR, "relation 'behind', expected one of left_of, above, inside"),
        (RED_CIRCLE, "inside", BLUE_STAR, "small things within one large thing of another colour"),
        (RED_CIRCLE, "inside", Group(1, "large", "red", "star"), "of another colour"),
    ],
)
def test_a_scene_that_cannot_be_is_an_error(subject, relation, reference, message):
    with pytest.raises(ValueError, match=message):
        Scene(subject, relation, reference)


def test_equal_draws_give_equal_images_and_the_next_draw_another():
    scene = Scene(RED_CIRCLE, "left_of", BLUE_STAR)
    rng = random.Random(5)
    first, second = np.asarray(draw_scene(scene, rng)), np.asarray(draw_scene(scene, rng))
    assert first.shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
    assert np.array_equal(first, np.asarray(draw_scene(scene, random.Random(5))))
    assert not np.array_equal(first, second)


def test_what_is_left_above_or_inside_stands_there():
    rng = random.Random(0)
    scenes = [sample_held_out_scene(rng) for _ in range(500)]
    for scene in scenes:
        positions = {group: np.mean(centres, axis=0) for group, _, centres in place_things(scene, rng)}
        if scene.subject == scene.reference:
            continue
        across, down = positions[scene.reference] - positions[scene.subject]
        if scene.relation == "left_of":
            assert across > 2.9
            assert across > abs(down) + 0.5
        elif scene.relation == "above":
            assert down > 2.9
            assert down > abs(across) + 0.5
        else:
            assert max(abs(across), abs(down)) <= 0.5


def test_things_stand_within_the_image_and_apart_from_each_other():
    rng = random.Random(1)
    for scene in (sample_training_scene(rng) for _ in range(500)):
        placed = [(centre, radius) for _, radius, centres in place_things(scene, rng) for centre in centres]
        assert all(0.4 <= x <= GRID - 0.4 and 0.4 <= y <= GRID - 0.4 for (x, y), _ in placed)
        if scene.relation != "inside":
            for index, ((x, y), radius) in enumerate(placed):
                for (u, v), other in placed[:index]:
                    assert max(abs(x - u), abs(y - v)) > radius + other - 0.01


def test_a_ring_inside_another_thing_shows_that_thing_through_its_hole():
    scene = Scene(Group(1, "small", "white", "ring"), "inside", Group(1, "large", "blue", "square"))

    def plain(group, rng):
        look = {"ring": (255, 255, 255), "square": (0, 0, 255)}[group.shape]
        return Appearance([(-1, -1), (1, -1), (1, 1), (-1, 1)], look, has_hole=group.shape == "ring")

    rng = random.Random(0)
    (_, (subject, _, [(x, y)])) = place_things(scene, random.Random(0))
    assert subject == scene.subject
    image = np.asarray(draw_scene(scene, rng, plain))
    red, _, blue = image[round(y * IMAGE_SIZE / GRID), round(x * IMAGE_SIZE / GRID)].astype(int)
    assert blue - red > 150
