"""Procedural faces: thirteen face-only traits and seven that the voice reveals, rendered with Pillow.

Rendered at four times the size and reduced, so that 64 and 128 share one geometry. Coordinates: the picture spans
-1..1 in both directions, x to the right, y downwards. Traits are in standard deviations from the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, radians, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sf2f_bench.types import BenchError

Points = NDArray[np.float64]  # [N, 2]
Colour = tuple[float, float, float]

OVERSAMPLING = 4
ZOOM = 1.18  # the face fills the picture as in a tight crop
TRAIT_LIMIT = 2.4  # standard deviations: beyond them the face would fall apart

WHITE: Colour = (255, 255, 255)
INK: Colour = (38, 28, 26)
SKIN_RAMP: tuple[Colour, ...] = (
    (255, 226, 208),
    (241, 197, 168),
    (215, 160, 124),
    (168, 113, 80),
    (112, 72, 50),
)
HAIR_RAMP: tuple[Colour, ...] = ((28, 24, 26), (66, 44, 34), (112, 70, 42), (160, 98, 50), (214, 172, 102))
IRIS_RAMP: tuple[Colour, ...] = ((60, 40, 28), (110, 76, 40), (94, 120, 66), (84, 130, 180))
GREY_HAIR: Colour = (205, 205, 208)


@dataclass(frozen=True)
class FaceParameters:
    """What a person's photos have in common; numbers are standard deviations unless stated otherwise."""

    gender: str  # "f" or "m": colours of lips and lashes; its shifts of the traits are already included
    age: float = 0.0  # wrinkles and greying
    face_height: float = 0.0
    jaw_width: float = 0.0
    skin_tone: float = 0.0  # darker upwards
    brow_height: float = 0.0
    nose_length: float = 0.0
    mouth_width: float = 0.0
    hair_length: float = 0.0
    hair_colour: float = 0.0  # lighter upwards
    hair_volume: float = 0.0
    fringe: float = 0.0  # lower hairline upwards
    eye_size: float = 0.0
    eye_spacing: float = 0.0
    eye_colour: float = 0.0
    nose_width: float = 0.0
    lip_thickness: float = 0.0
    ear_size: float = 0.0
    brow_thickness: float = 0.0
    brow_angle: float = 0.0
    face_taper: float = 0.0  # pointed chin upwards
    glasses: bool = False
    beard: float = 0.0  # 0 none, 1 full


@dataclass(frozen=True)
class PhotoNuisance:
    """What differs between two photos of one person; the defaults are the neutral photo."""

    shift: tuple[float, float] = (0.0, 0.0)  # of the picture's half width
    roll: float = 0.0  # degrees
    yaw: float = 0.0  # -1..1: features move sideways, the nose most
    gain: float = 1.0  # of the light
    gradient: tuple[float, float] = (
        0.0,
        0.0,
    )  # change of the light from the middle to the right and lower edge
    cast: Colour = (1.0, 1.0, 1.0)  # gain of each colour channel
    smile: float = 0.0  # -1..1
    brow_raise: float = 0.0  # -1..1
    eye_opening: float = 1.0
    clothing: Colour = (128, 132, 140)
    noise_seed: int | None = None  # None: a sensor without noise


def rendered_traits(face: FaceParameters, names: Sequence[str]) -> list[float]:
    """A face's traits as they are rendered, which is within TRAIT_LIMIT."""
    return [float(min(max(getattr(face, name), -TRAIT_LIMIT), TRAIT_LIMIT)) for name in names]


def render(face: FaceParameters, photo: PhotoNuisance, size: int) -> NDArray[np.uint8]:
    """One photo of one person in front of a white background: uint8 ``[3, size, size]``.

    Raises BenchError for a size that is not a positive multiple of 16.
    """
    if size <= 0 or size % 16:
        raise BenchError(
            f"a synthetic face needs a size that is a multiple of 16, not {size}; use 64 or 128."
        )
    sketch = _Sketch(face, photo, size * OVERSAMPLING)
    for part in (_back_hair, _body, _head, _age_lines, _beard, _nose, _mouth, _eyes, _front_hair, _brows):
        part(sketch)
    if face.glasses:
        _glasses(sketch)
    return _expose(sketch.image.reduce(OVERSAMPLING), photo)


class _Sketch:
    """Canvas, pose and the measures that parts of the face share."""

    def __init__(self, face: FaceParameters, photo: PhotoNuisance, pixels: int) -> None:
        self.face, self.photo, self.pixels = face, photo, pixels
        self.image = Image.new("RGBA", (pixels, pixels), (255, 255, 255, 0))
        self.pen = ImageDraw.Draw(self.image)
        c, s = cos(radians(photo.roll)), sin(radians(photo.roll))
        self.rotation = ZOOM * np.array([[c, s], [-s, c]])
        self.width = 0.50  # of the head, at the cheek bones
        self.height = 0.60 * (1 + 0.10 * self.trait("face_height"))  # from the eyes' level to the chin
        self.eye_y = -0.06
        self.nose_y = 0.21 + 0.056 * self.trait("nose_length")
        self.mouth_y = 0.40 + 0.6 * (self.height - 0.60) + 0.012 * self.trait("nose_length")
        self.eye_x = 0.205 + 0.010 * self.trait("eye_spacing")
        self.brow_y = self.eye_y - 0.155 - 0.046 * self.trait("brow_height")
        self.mouth_w = 0.165 * (1 + 0.23 * self.trait("mouth_width"))
        self.eye_w = 0.098 * (1 + 0.07 * self.trait("eye_size"))
        self.skin = _ramp(SKIN_RAMP, 0.45 + 0.21 * self.trait("skin_tone"))
        greying = min(max(0.22 + 0.34 * self.trait("age"), 0.0), 0.95)
        hair = _ramp(HAIR_RAMP, 0.36 + 0.15 * self.trait("hair_colour"))
        self.hair = _mix(hair, GREY_HAIR, greying)

    def trait(self, name: str) -> float:
        """A trait of the face, clipped to what can be rendered."""
        return rendered_traits(self.face, (name,))[0]

    def turn(self, depth: float) -> float:
        """How far a feature at this depth (1: tip of the nose) moves sideways with the yaw."""
        return 0.085 * depth * self.photo.yaw

    def place(self, points: Points) -> list[tuple[float, float]]:
        """``[N, 2]`` of the face's own coordinates to pixels of the canvas, after roll and shift."""
        moved = points @ self.rotation + np.asarray(self.photo.shift)
        # Whole pixels: neighbouring machines may differ in the last bit of a sine.
        pixels = np.rint((moved + 1) * (0.5 * self.pixels))
        return list(map(tuple, pixels.tolist()))

    def shape(self, points: Points, colour: Colour) -> None:
        """Fill the polygon ``[N, 2]``."""
        self.pen.polygon(self.place(points), fill=_bytes(colour))

    def stroke(self, points: Points, colour: Colour, width: float) -> None:
        """A line through ``[N, 2]``, its width in units of the picture's half width."""
        pixels = max(1, round(width * ZOOM * 0.5 * self.pixels))
        self.pen.line(self.place(points), fill=_bytes(colour), width=pixels, joint="curve")


# ---------------------------------------------------------------- geometry and colour

_TURN = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)  # [28, 2]
_QUARTER = np.linspace(0, np.pi / 2, 12)
_BOW = np.linspace(-1, 1, 11)  # [11]
_ARCH = 1 - _BOW**2


def _ellipse(x: float, y: float, rx: float, ry: float) -> Points:
    """Points ``[28, 2]`` of an ellipse."""
    return _CIRCLE * (rx, ry) + (x, y)


def _curve(x: Any, y: Any) -> Points:
    """Points ``[N, 2]`` from their coordinates; one number stands for N."""
    points = np.empty((len(x), 2))
    points[:, 0], points[:, 1] = x, y
    return points


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    """The colour this share of the way from a to b."""
    return (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2]))


def _ramp(colours: Sequence[Colour], position: float) -> Colour:
    """The colour at this position, 0..1, of a piecewise linear ramp."""
    where = min(max(position, 0.0), 1.0) * (len(colours) - 1)
    left = min(int(where), len(colours) - 2)
    return _mix(colours[left], colours[left + 1], where - left)


def _bytes(colour: Colour) -> tuple[int, int, int, int]:
    """An opaque colour as Pillow takes it."""
    return round(colour[0]), round(colour[1]), round(colour[2]), 255


def _face_outline(s: _Sketch, grow: float = 1.0) -> Points:
    """The head ``[48, 2]``, clockwise from the right cheek: jaw, chin, left cheek, skull."""
    c, si = np.cos(_QUARTER), np.sin(_QUARTER)
    squareness = 0.62 + 0.06 * s.trait("face_taper")  # exponent: small is a square chin
    jaw = 1 + 0.15 * s.trait("jaw_width") * np.sin(2 * _QUARTER)
    x = s.width * grow * c**squareness * jaw
    y = s.eye_y + (s.height - s.eye_y) * si
    skull_x, skull_y = s.width * grow * c, s.eye_y - (0.56 + 0.5 * (s.height - 0.6)) * grow * si
    return np.concatenate(
        [_curve(x, y), _curve(-x, y)[::-1], _curve(-skull_x, skull_y), _curve(skull_x, skull_y)[::-1]]
    )


def landmarks(face: FaceParameters) -> Points:
    """Eyes, brows, corners of the mouth, jaw (right and left), nose and chin of the neutral photo: ``[10, 2]``."""
    s = _Sketch(face, PhotoNuisance(), 1)
    jaw = _face_outline(s)[5]  # half-way from cheek to chin
    right = np.array([[s.eye_x, s.eye_y], [s.eye_x, s.brow_y], [s.mouth_w, s.mouth_y], jaw])
    return np.concatenate([right, right * (-1, 1), [[0.0, s.nose_y], [0.0, s.height]]])


# ---------------------------------------------------------------- parts, from back to front


def _hair_length(s: _Sketch) -> float:
    """The height at which the hair ends: near the temples when short, near the shoulders when long."""
    return 0.22 + 0.31 * s.trait("hair_length")


def _back_hair(s: _Sketch) -> None:
    end, spread = _hair_length(s), s.width * (1.13 + 0.045 * s.trait("hair_volume"))
    if end < s.eye_y:
        return
    top = s.eye_y - 0.2
    right = _curve([spread, spread * 1.06, spread * 1.0, spread * 0.55], [top, 0.6 * end, end, end + 0.07])
    s.shape(np.concatenate([right, right[::-1] * (-1, 1)]), _mix(s.hair, INK, 0.22))


def _body(s: _Sketch) -> None:
    shade = _mix(s.skin, INK, 0.22)
    neck = s.width * (0.50 if s.face.gender == "f" else 0.62)
    s.shape(_curve([-neck, neck, neck * 1.1, -neck * 1.1], [0.2, 0.2, 1.0, 1.0]), shade)
    cloth = s.photo.clothing
    shoulder = 0.80 if s.face.gender == "f" else 0.95
    right = _curve([neck * 0.95, neck * 1.25, shoulder, shoulder * 1.12], [0.76, 0.78, 0.90, 1.3])
    collar = _curve([0.0], 0.92)
    s.shape(np.concatenate([collar, right, right[::-1] * (-1, 1)]), cloth)
    s.stroke(np.concatenate([right[:1] * (-1, 1), collar, right[:1]]), _mix(cloth, INK, 0.3), 0.02)


def _head(s: _Sketch) -> None:
    ear = 0.105 * (1 + 0.15 * s.trait("ear_size"))
    for side in (-1, 1) if _hair_length(s) < 0.15 else ():  # else under the hair
        x = side * (s.width + 0.3 * ear) - 0.5 * s.turn(1.0)
        s.shape(_ellipse(x, 0.02, 0.6 * ear, ear), _mix(s.skin, INK, 0.10))
        s.shape(_ellipse(x, 0.02, 0.3 * ear, 0.6 * ear), _mix(s.skin, INK, 0.25))
    s.shape(_face_outline(s), s.skin)
    blush = _mix(s.skin, (215, 90, 80), 0.16)
    for side in (-1, 1):
        s.shape(_ellipse(side * 0.29 + s.turn(0.5), 0.19, 0.11, 0.08), blush)


def _age_lines(s: _Sketch) -> None:
    strength = min(max(0.32 + 0.40 * s.trait("age"), 0.0), 1.0)
    if strength == 0.0:
        return
    line = _mix(s.skin, _mix(s.skin, INK, 0.62), strength)
    bend = 0.02 * _ARCH
    for level in (0.30, 0.38):
        s.stroke(_curve(0.24 * _BOW + s.turn(0.5), s.eye_y - level - bend), line, 0.022)
    for side in (-1, 1):
        fold_x = side * (0.135 + np.array([0.0, 0.055, 0.085])) + s.turn(0.7)
        fold_y = np.array([s.nose_y - 0.03, 0.5 * (s.nose_y + s.mouth_y), s.mouth_y + 0.05])
        s.stroke(_curve(fold_x, fold_y), line, 0.026)
        bag = 0.85 * s.eye_w
        s.stroke(
            _curve(side * s.eye_x + s.turn(0.6) + bag * _BOW, s.eye_y + 0.085 + 0.03 * _ARCH), line, 0.024
        )


def _beard(s: _Sketch) -> None:
    if s.face.beard <= 0:
        return
    colour = _mix(s.skin, s.hair, 0.25 + 0.6 * min(s.face.beard, 1.0))
    outline = _face_outline(s)
    lower = outline[3:21]  # below the ears, round the chin
    inner_x = np.array([-0.40, -0.24, -0.10, 0.10, 0.24, 0.40])
    inner_y = np.array([0.12, s.mouth_y - 0.02, s.nose_y + 0.05, s.nose_y + 0.05, s.mouth_y - 0.02, 0.12])
    s.shape(np.concatenate([lower, _curve(inner_x + s.turn(0.5), inner_y)]), colour)


def _nose(s: _Sketch) -> None:
    x, half = s.turn(1.0), 0.078 * (1 + 0.13 * s.trait("nose_width"))
    shade, dark = _mix(s.skin, INK, 0.15), _mix(s.skin, INK, 0.55)
    bridge_x = 0.3 * x
    s.shape(
        _curve(
            [bridge_x - 0.035, bridge_x + 0.035, x + half, x + 0.4 * half, x - 0.4 * half, x - half],
            [s.eye_y, s.eye_y, s.nose_y - 0.02, s.nose_y + 0.03, s.nose_y + 0.03, s.nose_y - 0.02],
        ),
        shade,
    )
    light = _mix(s.skin, WHITE, 0.22)
    s.shape(
        _curve(
            [bridge_x - 0.014, bridge_x + 0.014, x + 0.03, x - 0.03],
            [s.eye_y, s.eye_y, s.nose_y - 0.03, s.nose_y - 0.03],
        ),
        light,
    )
    s.stroke(_curve(x + half * _BOW, s.nose_y + 0.025 * _ARCH), dark, 0.026)


def _mouth(s: _Sketch) -> None:
    smile = s.photo.smile
    half = s.mouth_w * (1 + 0.06 * smile)
    thick = 0.042 * (1 + 0.18 * s.trait("lip_thickness"))
    red = (196, 52, 66) if s.face.gender == "f" else (172, 78, 72)
    lips = _mix(_mix(s.skin, red, 0.62 if s.face.gender == "f" else 0.45), INK, 0.06)
    x = half * _BOW + s.turn(0.75)
    line = s.mouth_y + 0.038 * smile * (_ARCH - 0.5)
    bow = 1 - 0.35 * np.exp(-((_BOW / 0.22) ** 2))
    upper = line - thick * _ARCH**0.7 * bow
    lower = line + 1.25 * thick * _ARCH**0.8
    s.shape(np.concatenate([_curve(x, upper), _curve(x, lower)[::-1]]), lips)
    s.stroke(_curve(x, line), _mix(lips, INK, 0.6), 0.020)


def _eyes(s: _Sketch) -> None:
    opening = 0.62 * s.eye_w * s.photo.eye_opening
    iris = _ramp(IRIS_RAMP, 0.40 + 0.18 * s.trait("eye_colour"))
    lid = _mix(s.skin, INK, 0.9 if s.face.gender == "f" else 0.72)
    for side in (-1, 1):
        x = side * s.eye_x + s.turn(0.6)
        lids_x = x + s.eye_w * _BOW
        upper, lower = s.eye_y - opening * _ARCH, s.eye_y + 0.75 * opening * _ARCH
        s.shape(np.concatenate([_curve(lids_x, upper), _curve(lids_x, lower)[::-1]]), (250, 248, 245))
        for radius, colour in ((0.50 * s.eye_w, iris), (0.24 * s.eye_w, INK)):
            ring = _ellipse(x + 0.25 * s.turn(1.0), s.eye_y - 0.1 * opening, radius, radius)
            # The lids cover the part of the iris beyond them.
            ring[:, 1] = np.clip(
                ring[:, 1], np.interp(ring[:, 0], lids_x, upper), np.interp(ring[:, 0], lids_x, lower)
            )
            s.shape(ring, colour)
        s.stroke(_curve(lids_x, upper), lid, 0.034 if s.face.gender == "f" else 0.024)


def _front_hair(s: _Sketch) -> None:
    volume = 1.06 + 0.028 * s.trait("hair_volume")
    end = min(max(_hair_length(s), s.eye_y - 0.08), 0.72)
    skull = s.eye_y - (0.56 + 0.5 * (s.height - 0.6)) * volume
    c, si = np.cos(_QUARTER), np.sin(_QUARTER)
    crown = _curve(s.width * volume * c, s.eye_y + (skull - s.eye_y - 0.02) * si)  # right to top
    line = max(s.eye_y - 0.40 + 0.035 * s.trait("fringe"), skull + 0.05)
    side = s.width * 0.90
    right = _curve(
        [0.0, 0.45 * side, 0.86 * side, side, s.width * (1.0 if end < 0.1 else 0.97)],
        [line, line + 0.01, line + 0.11, s.eye_y - 0.08, end],
    )
    outer = _curve([s.width * volume * (1.0 if end < 0.1 else 1.10)], [end])
    half = np.concatenate([right, outer, crown])
    s.shape(np.concatenate([half, half[::-1] * (-1, 1)]), s.hair)
    shine = _mix(s.hair, WHITE, 0.16)
    s.stroke(_curve(0.16 * _BOW - 0.06, 0.5 * (line + skull) + 0.01 - 0.03 * _ARCH), shine, 0.03)


def _brows(s: _Sketch) -> None:
    thick = 0.042 * (1 + 0.16 * s.trait("brow_thickness"))
    level = s.brow_y - 0.014 * s.photo.brow_raise
    tilt = 0.013 * s.trait("brow_angle")
    colour = _mix(s.hair, INK, 0.45)
    for side in (-1, 1):
        x = side * (s.eye_x + 0.125 * _BOW) + s.turn(0.55)
        y = level - 0.026 * _ARCH - tilt * _BOW
        s.stroke(_curve(x, y), colour, thick)


def _glasses(s: _Sketch) -> None:
    frame = (46, 44, 52)
    for side in (-1, 1):
        ring = _ellipse(side * s.eye_x + s.turn(0.65), s.eye_y + 0.02, 0.155, 0.125)
        s.stroke(np.concatenate([ring, ring[:2]]), frame, 0.026)
        arm = _curve([side * (s.eye_x + 0.155) + s.turn(0.65), side * s.width], [s.eye_y, s.eye_y - 0.02])
        s.stroke(arm, frame, 0.024)
    bridge = (s.eye_x - 0.15) * _BOW + s.turn(0.7)
    s.stroke(_curve(bridge, s.eye_y - 0.03 * _ARCH), frame, 0.026)


# ---------------------------------------------------------------- light and sensor


def _expose(image: Image.Image, photo: PhotoNuisance) -> NDArray[np.uint8]:
    """Light, colour cast and noise on the person alone; the background stays white: uint8 ``[3, H, W]``."""
    pixels = np.asarray(image).astype(np.float64).transpose(2, 0, 1)  # [4, H, W]
    colours, opaque = pixels[:3], pixels[3] / 255
    size = colours.shape[1]
    ramp = (np.arange(size) + 0.5) * (2 / size) - 1
    light = photo.gain * (1 + photo.gradient[0] * ramp[None, :] + photo.gradient[1] * ramp[:, None])
    lit = colours * light * np.asarray(photo.cast).reshape(3, 1, 1)
    if photo.noise_seed is not None:
        # Integers: random numbers that no machine's rounding can change.
        lit = lit + np.random.RandomState(photo.noise_seed).randint(-4, 5, size=colours.shape)
    flat = np.clip(lit, 0, 255) * opaque + 255 * (1 - opaque)
    return np.rint(flat).astype(np.uint8)
