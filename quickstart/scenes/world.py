"""The drawn world of the quickstart: the content of images, the held-out combinations, and the sampling of scenes.

An image shows one group of equal things ("three small red circles") or two groups in a relation ("... to the left of
a large blue square"). A fixed quarter of all colour x shape pairs and of all relation x shape pair combinations is
held out: no training image or text contains one. A model that captions them has therefore combined what it learned
instead of recalling it. The rules are formulas, so every part of the project agrees on them without a stored list.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "black", "white")
SHAPES = ("circle", "square", "triangle", "star", "cross", "heart", "ring", "arrow")
SIZES = ("small", "large")
COUNTS = (1, 2, 3)
RELATIONS = ("left_of", "above", "inside")

SINGLE_GROUP_SHARE = 0.15  # the share of scenes with one group


@dataclass(frozen=True)
class Group:
    """`count` equal things.

    Raises:
        ValueError: a value is not in `COUNTS`, `SIZES`, `COLOURS` or `SHAPES`.
    """

    count: int
    size: str
    colour: str
    shape: str

    def __post_init__(self) -> None:
        for value, known in ((self.count, COUNTS), (self.size, SIZES), (self.colour, COLOURS), (self.shape, SHAPES)):
            if value not in known:
                raise ValueError(
                    f"A group of the drawn world holds {value!r}, expected one of {', '.join(map(str, known))}."
                )


@dataclass(frozen=True)
class Scene:
    """What an image shows: the subject alone, or the subject in a relation to a reference.

    The caption is a function of the image: the subject is the group on the left, on top, or inside. Inside means
    small things within one large thing of another colour.

    Raises:
        ValueError: a relation without a reference (or the reverse), an unknown relation, or an `inside` that cannot
            be drawn.
    """

    subject: Group
    relation: str | None = None
    reference: Group | None = None

    def __post_init__(self) -> None:
        if (self.relation is None) != (self.reference is None):
            raise ValueError("A scene holds a relation and a reference, or neither of them.")
        if self.relation is not None and self.relation not in RELATIONS:
            raise ValueError(f"A scene holds the relation {self.relation!r}, expected one of {', '.join(RELATIONS)}.")
        if self.relation == "inside" and self.reference is not None and not _fits_inside(self.subject, self.reference):
            raise ValueError("`inside` takes small things within one large thing of another colour.")

    @property
    def groups(self) -> tuple[Group, ...]:
        """The subject and the reference, if there is one."""
        return (self.subject,) if self.reference is None else (self.subject, self.reference)


def is_held_out_pair(colour: str, shape: str) -> bool:
    """True for a quarter of the colour x shape pairs, two of every colour and two of every shape."""
    return (COLOURS.index(colour) - SHAPES.index(shape)) % len(SHAPES) in (0, 3)


def is_held_out_relation(relation: str, subject_shape: str, reference_shape: str) -> bool:
    """True for a quarter of the relation x (subject shape, reference shape) combinations, two of every row."""
    return (SHAPES.index(subject_shape) + SHAPES.index(reference_shape) + RELATIONS.index(relation)) % 4 == 0


def is_held_out(scene: Scene) -> bool:
    """True if the scene contains a held-out combination. Only evaluation may show it."""
    if any(is_held_out_pair(group.colour, group.shape) for group in scene.groups):
        return True
    if scene.relation is None or scene.reference is None:
        return False
    return is_held_out_relation(scene.relation, scene.subject.shape, scene.reference.shape)


def sample_training_scene(rng: random.Random) -> Scene:
    """A scene without held-out combinations, also if its two groups exchange their colours.

    Without the second condition, a model could often infer which of "a circle and a star" is red and which is blue
    from the combinations that never occur. It would learn this instead of looking, and would exchange the colours of
    held-out scenes.
    """
    return _sample_until(rng, lambda scene: not is_held_out(scene) and not _is_held_out_exchanged(scene))


def sample_held_out_scene(rng: random.Random) -> Scene:
    """A scene of two groups with at least one held-out combination."""
    return _sample_until(rng, lambda scene: scene.reference is not None and is_held_out(scene))


def _sample_until(rng: random.Random, is_wanted: Callable[[Scene], bool]) -> Scene:
    while True:
        scene = sample_scene(rng)
        if is_wanted(scene):
            return scene


def sample_scene(rng: random.Random) -> Scene:
    """Any scene, held out or not."""
    subject = _sample_group(rng)
    if rng.random() < SINGLE_GROUP_SHARE:
        return Scene(subject)
    relation = rng.choice(RELATIONS)
    reference = _sample_group(rng)
    if relation == "inside":
        subject = Group(subject.count, "small", subject.colour, subject.shape)
        reference = Group(1, "large", rng.choice([c for c in COLOURS if c != subject.colour]), reference.shape)
    return Scene(subject, relation, reference)


def _is_held_out_exchanged(scene: Scene) -> bool:
    subject, reference = scene.subject, scene.reference
    if reference is None:
        return False
    return is_held_out_pair(reference.colour, subject.shape) or is_held_out_pair(subject.colour, reference.shape)


def _sample_group(rng: random.Random) -> Group:
    return Group(rng.choice(COUNTS), rng.choice(SIZES), rng.choice(COLOURS), rng.choice(SHAPES))


def _fits_inside(subject: Group, reference: Group) -> bool:
    return (
        subject.size == "small"
        and reference.size == "large"
        and reference.count == 1
        and subject.colour != reference.colour
    )
