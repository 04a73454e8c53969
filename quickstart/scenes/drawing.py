"""Draws a scene of the drawn world as a small RGB image.

Positions, sizes, colours, tilt and background vary between images of a scene; what the caption says never varies.
Things are on a grid of 8 x 8 cells, a little off the centres: a small thing fills one cell, a large thing two by two.
(A tiny ViT whose patches are the cells learns shapes several times faster than with free positions.) Coordinates are
in cells. We draw the image larger by `SUPERSAMPLING` and then reduce it, which smooths the edges.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw

from .world import Group, Scene

GRID = 8
CELL_PIXELS = 12
IMAGE_SIZE = GRID * CELL_PIXELS
SUPERSAMPLING = 3

RGB = {
    "red": (214, 32, 36),
    "orange": (255, 136, 8),
    "yellow": (250, 226, 40),
    "green": (30, 150, 60),
    "blue": (36, 76, 220),
    "purple": (140, 44, 176),
    "black": (16, 16, 16),
    "white": (248, 248, 248),
}
COLOUR_JITTER = 12
BACKGROUND_RANGE = (105, 190)  # grey level of the background: neither black nor white things vanish in it
BACKGROUND_TINT = 14
RADIUS = {"small": 0.44, "large": 0.92}  # in cells
CONTAINER_RADIUS = 2.75  # of the large thing that others lie inside
RADIUS_JITTER = 0.08
PLACE_JITTER = 0.1  # in cells
TILT_DEGREES = 10.0

Point = tuple[float, float]
Colour = tuple[int, ...]


def _regular(num_points: int, start_degrees: float, inner: float = 1.0) -> list[Point]:
    """Corners on the unit circle (every second one at radius `inner`), the first at `start_degrees`."""
    steps = [math.radians(start_degrees + 360 * k / num_points) for k in range(num_points)]
    return [
        (math.cos(a) * (1 if k % 2 == 0 else inner), math.sin(a) * (1 if k % 2 == 0 else inner))
        for k, a in enumerate(steps)
    ]


_ARM = 0.36  # half the width of a cross's arms, of an arrow's shaft


def _cross() -> list[Point]:
    quarter = [(_ARM, -1.0), (_ARM, -_ARM), (1.0, -_ARM)]
    turned = [(-y, x) for x, y in quarter], [(-x, -y) for x, y in quarter], [(y, -x) for x, y in quarter]
    return [*quarter, *turned[0], *turned[1], *turned[2]]


def _heart() -> list[Point]:
    steps = [2 * math.pi * k / 40 for k in range(40)]
    curve = [
        (16 * math.sin(t) ** 3, -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)))
        for t in steps
    ]
    return [(x / 16, (y - 2.5) / 16) for x, y in curve]


OUTLINES: dict[str, list[Point]] = {
    "circle": _regular(40, 0),
    "square": [(x * 0.82, y * 0.82) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))],
    "triangle": _regular(3, -90),
    "star": _regular(10, -90, inner=0.45),
    "cross": _cross(),
    "heart": _heart(),
    "ring": _regular(40, 0),
    "arrow": [(1, 0), (0.1, -0.95), (0.1, -_ARM), (-1, -_ARM), (-1, _ARM), (0.1, _ARM), (0.1, 0.95)],
}
RING_HOLE = 0.58  # of the radius


@dataclass(frozen=True)
class Appearance:
    """How the things of a group look: outline on the unit circle, RGB colour, and whether they have a round hole."""

    outline: list[Point]
    colour: Colour
    has_hole: bool = False


def named_appearance(group: Group, rng: random.Random) -> Appearance:
    """The look that the group's shape and colour name."""
    return Appearance(OUTLINES[group.shape], RGB[group.colour], has_hole=group.shape == "ring")


def draw_scene(
    scene: Scene,
    rng: random.Random,
    appearance: Callable[[Group, random.Random], Appearance] = named_appearance,
) -> Image.Image:
    """Draw a scene on `IMAGE_SIZE` x `IMAGE_SIZE` pixels, RGB; equal states of `rng` give equal images."""
    placed = place_things(scene, rng)
    level = rng.uniform(*BACKGROUND_RANGE)
    background = tuple(round(level + rng.uniform(-BACKGROUND_TINT, BACKGROUND_TINT)) for _ in range(3))
    image = Image.new("RGB", (IMAGE_SIZE * SUPERSAMPLING,) * 2, background)
    for group, radius, positions in placed:
        look = appearance(group, rng)
        for x, y in positions:
            _draw_thing(image, look, x, y, radius, rng)
    return image.reduce(SUPERSAMPLING)


def place_things(scene: Scene, rng: random.Random) -> list[tuple[Group, float, list[Point]]]:
    """Where the things of each group stand: (group, radius, centres), in the order in which they are drawn."""
    subject, reference = scene.subject, scene.reference
    if reference is None:
        return [
            (subject, RADIUS[subject.size], _column(subject, rng, rng.randrange(3), is_transposed=rng.random() < 0.5))
        ]
    if scene.relation == "inside":
        x, y = rng.choice((3, 4, 5)), rng.choice((3, 4, 5))
        corners = rng.sample([(x + u, y + v) for u in (-0.5, 0.5) for v in (-0.5, 0.5)], subject.count)
        return [(reference, CONTAINER_RADIUS, [(x, y)]), (subject, RADIUS["small"], corners)]
    is_above = scene.relation == "above"
    return [
        (subject, RADIUS[subject.size], _column(subject, rng, 0, is_transposed=is_above)),
        (reference, RADIUS[reference.size], _column(reference, rng, 2, is_transposed=is_above)),
    ]


def _column(group: Group, rng: random.Random, third: int, is_transposed: bool) -> list[Point]:
    """Centres of a group's things, one below the other in the left, middle or right `third`.

    Transposed, they stand side by side in the upper, middle or lower third.
    """
    extent = 2 if group.size == "large" else 1  # a thing's height, in cells
    pitch = extent if extent == 2 else rng.choice((1, 2))
    height = pitch * (group.count - 1) + extent
    tops = [top for top in range(GRID - height + 1) if abs(top + height / 2 - GRID / 2) <= 1]
    top = rng.choice(tops)
    lefts = {0: range(0, 4 - extent), 1: range(3, 6 - extent), 2: range(5, 9 - extent)}[third]
    left = rng.choice(lefts)
    points = []
    for k in range(group.count):
        aside = rng.choice([x for x in (left - 1, left, left + 1) if x in lefts]) if extent == 1 else left
        points.append((aside + extent / 2, top + pitch * k + extent / 2))
    return [(y, x) for x, y in points] if is_transposed else points


def _draw_thing(image: Image.Image, look: Appearance, x: float, y: float, radius: float, rng: random.Random) -> None:
    x, y = x + rng.uniform(-PLACE_JITTER, PLACE_JITTER), y + rng.uniform(-PLACE_JITTER, PLACE_JITTER)
    radius *= rng.uniform(1 - RADIUS_JITTER, 1 + RADIUS_JITTER)
    tilt = math.radians(rng.uniform(-TILT_DEGREES, TILT_DEGREES))
    colour = tuple(min(255, max(0, value + rng.randint(-COLOUR_JITTER, COLOUR_JITTER))) for value in look.colour)
    behind = _pixel(image, x, y)
    canvas = ImageDraw.Draw(image)
    _draw_outline(canvas, look.outline, x, y, radius, tilt, colour)
    if look.has_hole:
        _draw_outline(canvas, OUTLINES["circle"], x, y, radius * RING_HOLE, tilt, behind)


def _pixel(image: Image.Image, x: float, y: float) -> Colour:
    value = image.getpixel((round(x * CELL_PIXELS * SUPERSAMPLING), round(y * CELL_PIXELS * SUPERSAMPLING)))
    assert isinstance(value, tuple)  # the image is RGB
    return value


def _draw_outline(
    canvas: ImageDraw.ImageDraw,
    outline: list[Point],
    x: float,
    y: float,
    radius: float,
    tilt: float,
    colour: tuple[int, ...],
) -> None:
    cos, sin = math.cos(tilt) * radius, math.sin(tilt) * radius
    scale = CELL_PIXELS * SUPERSAMPLING
    canvas.polygon(
        [((x + u * cos - v * sin) * scale, (y + u * sin + v * cos) * scale) for u, v in outline], fill=colour
    )
