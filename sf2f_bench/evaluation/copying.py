"""Generated faces beside training photos as pictures, whatever a network makes of them.

A judge is fooled by a copy that it sees as another person: mirrored, moved, darker, of less contrast, or the mean of
two photos. Small pictures whose brightness and contrast are normalised are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray

SIDE, MARGIN = 64, 4  # pixels of a picture; how far it may be moved, and a little more
WINDOW, STRIDE = 8, 4  # pixels of which means are taken
COARSE, FINE = (-2, 0, 2), (-1, 0, 1)  # pixels by which a face is moved: first, and from the best of these
DIRECTIONS, RIDGE = 128, 0.05  # of the whitened space; RIDGE: a share of the largest deviation
NEAREST = 100  # training photos of which all pairs are tried
BLOCK = 100  # faces at once


class TrainingPictures:
    """The training photos uint8 ``[T, 3, H, W]``, as faces are compared with them.

    A picture is reduced to means over windows of 8 x 8 of 64 x 64 pixels, centred, brought to length 1 and whitened
    by the training photos, so that what all faces share does not count.
    """

    def __init__(self, photos: ByteArray) -> None:
        plain = torch.cat([_view(_small(part), 0, 0) for part in torch.from_numpy(photos).split(BLOCK)])
        self._mean = plain.mean(dim=0)
        variances, directions = torch.linalg.eigh(torch.cov((plain - self._mean).T.double(), correction=0))
        variances, directions = variances[-DIRECTIONS:].clamp(min=0), directions[:, -DIRECTIONS:]
        self._whitening = (directions / (variances + RIDGE**2 * variances[-1] + 1e-12).sqrt()).float()
        self._photos = self._whitened(plain)

    def likeness(self, faces: ByteArray) -> FloatArray:
        """How like a training photo, or a mixture of two, each face ``[N, 3, H, W]`` is: ``[N]``, at most 1.

        Formula: the larger of the largest cosine to a photo, over both mirrorings and moves by up to three pixels, and
        the largest multiple correlation with two of the 100 nearest photos, unmoved.
        """
        parts = torch.from_numpy(faces).split(BLOCK)
        return np.concatenate([self._likeness(_small(part)) for part in parts]).astype(np.float64)

    def _likeness(self, faces: Tensor) -> FloatArray:
        moves = [(flip, y, x) for flip in (0, 1) for y in COARSE for x in COARSE]
        both = (faces, faces.flip(3))
        found = [self._whitened(_view(both[flip], y, x)) @ self._photos.T for flip, y, x in moves]
        best = torch.stack([cosines.amax(dim=1) for cosines in found]).argmax(dim=0).tolist()
        moved = torch.stack([both[moves[b][0]][i].roll(moves[b][1:], (1, 2)) for i, b in enumerate(best)])
        close = [self._whitened(_view(moved, y, x)) @ self._photos.T for y in FINE for x in FINE]
        one = torch.stack([cosines.amax(dim=1) for cosines in close]).amax(dim=0)
        two = self._to_pairs(found[moves.index((0, 0, 0))])
        return torch.maximum(one, two).numpy()

    def _to_pairs(self, cosines: Tensor) -> Tensor:
        near, which = cosines.topk(min(NEAREST, len(self._photos)), dim=1)
        photos = self._photos[which]
        between = photos @ photos.transpose(1, 2)
        a, b = near[:, :, None], near[:, None]
        # Two photos that are nearly one would divide by nothing: they are hardly better than one.
        squares = (a**2 + b**2 - 2 * a * b * between) / (1 - between**2).clamp(min=0.05)
        return squares.amax(dim=(1, 2)).clamp(0, 1).sqrt()

    def _whitened(self, views: Tensor) -> Tensor:
        return F.normalize((views - self._mean) @ self._whitening, dim=1)


def _small(pictures: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(pictures.float(), SIDE)


def _view(pictures: Tensor, down: int, right: int) -> Tensor:
    """Window means of pictures ``[N, 3, 64, 64]`` that were moved, centred, at length 1: ``[N, D]``."""
    rows, columns = (slice(MARGIN - move, SIDE - MARGIN - move) for move in (down, right))
    means = F.avg_pool2d(pictures[:, :, rows, columns], WINDOW, STRIDE).flatten(1)
    return F.normalize(means - means.mean(dim=1, keepdim=True), dim=1)
