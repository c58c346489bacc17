"""Photos as uint8, and the two scales of pixels: bytes, and ImageNet's mean and standard deviation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sf2f_bench.types import MediaError

if TYPE_CHECKING:
    from torch import Tensor

    from sf2f_bench.types import ByteArray

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".pgm", ".ppm", ".bmp", ".webp", ".tif", ".tiff"})
# Left, top, right, bottom as shares of the picture: the face within a VGGFace-style photo.
VGG_BOX = (0.235, 0.195, 0.765, 0.915)

SMALLEST_SIDE = 8  # pixels
# Levels of 255 between a photo's darkest and brightest pixel; real photos (422) have 154 or more at 64 pixels.
FLAT_LEVELS = 16

Images = TypeVar("Images", "Tensor", np.ndarray)


def read_photo(path: Path | str, size: int) -> ByteArray:
    """A photo as RGB uint8 ``[3, size, size]``, resized bilinearly with antialiasing, aspect not kept.

    Turned upright by its EXIF orientation; transparency is laid on white, the background of the
    masked faces of HQ-VoxCeleb. Raises MediaError for a file that is missing, truncated or no picture, and for a
    picture that shows nothing: of a few pixels, flat, black, or with pixels that are not 8 or 16 whole bits.
    """
    path = Path(path)
    if not path.is_file():
        raise MediaError(f"{path}: expected a photo, found no such file; check the data set's folder.")
    try:
        with Image.open(path) as photo:
            colour = _to_rgb(ImageOps.exif_transpose(photo))
    except MediaError as error:
        raise MediaError(f"{path}: {error}") from error
    # Pillow's decoders raise all of these on damaged files; SyntaxError is a broken PNG's.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MediaError(f"{path}: cannot be read as a photo ({error}); fetch it again.") from error
    if min(colour.size) < SMALLEST_SIDE:
        raise MediaError(
            f"{path}: {colour.width}x{colour.height} pixels, expected {SMALLEST_SIDE} or more a side; leave it out."
        )
    extrema = np.array(colour.getextrema())  # [3, 2]: of each channel the lowest and highest level
    if np.ptp(extrema, axis=1).max() < FLAT_LEVELS:
        raise MediaError(
            f"{path}: shows nothing (in each channel all pixels lie within {FLAT_LEVELS} of 256 levels): an empty "
            "picture, or 12 bits in 16; leave it out, or save it with 8 bits a channel."
        )
    resized = colour.resize((size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))


def photo_shape(path: Path) -> tuple[int, int] | None:
    """Width and height of a photo by its header, as the file has them; None where it cannot be read."""
    try:
        with Image.open(path) as photo:
            return photo.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def is_flat(image: ByteArray) -> bool:
    """Whether uint8 ``[3, H, W]`` shows nothing: all of its pixels nearly alike."""
    levels = image.astype(np.int16)
    return bool(np.ptp(levels, axis=(-2, -1)).max() < FLAT_LEVELS)


def _to_rgb(photo: Image.Image) -> Image.Image:
    """Any mode of Pillow to RGB: transparency on white, 16-bit grey scaled to 8 bits.

    Raises MediaError, without the file's name, for floats and for whole numbers beyond 16 bits: their scale is unknown.
    """
    if photo.has_transparency_data:
        layer = photo.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    if photo.mode.startswith("I"):
        levels = np.asarray(photo)
        if levels.min() < 0 or levels.max() > 65_535:
            raise MediaError(
                f"has pixels of {levels.min()} to {levels.max()}, expected 0 to 65535; save it with 8 bits a channel."
            )
        photo = Image.fromarray((levels // 257).astype(np.uint8))
    if photo.mode == "F":
        raise MediaError("has floating-point pixels, whose scale is unknown; save it with 8 bits a channel.")
    return photo.convert("RGB")


def read_generated_face(path: Path | str, size: int) -> tuple[ByteArray, tuple[str, ...]]:
    """A face that a program generated, as RGB uint8 ``[3, size, size]``, and how it was converted, in words.

    Stricter than `read_photo`, because a program can produce what is asked for: a PNG or JPEG of one square picture
    with 8 bits a channel. Another square size is resized (bilinear, antialiased), grey becomes three equal channels,
    transparency is laid on white. Raises MediaError for anything else, with the reason alone: the caller has the name.
    """
    done = []
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            _refuse_unfit(picture, Path(path))
            if picture.has_transparency_data and np.asarray(picture.convert("RGBA"))[..., 3].min() < 255:
                done.append("transparency laid on white")
            if picture.mode in ("1", "L", "LA"):
                done.append("greyscale made RGB")
            colour = _to_rgb(ImageOps.exif_transpose(picture))
    except UnidentifiedImageError:
        raise MediaError("not a PNG or JPEG picture") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise MediaError(f"cannot be read ({error})") from error
    if colour.size != (size, size):
        done.append(f"{colour.width}x{colour.height} pixels resized to {size}x{size} (bilinear, antialiased)")
        colour = colour.resize((size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(colour).transpose(2, 0, 1)), tuple(done)


def _refuse_unfit(picture: Image.Image, path: Path) -> None:
    """Raise MediaError for several pictures in a file, more than 8 bits a channel, other colours and no square."""
    if getattr(picture, "n_frames", 1) > 1:
        raise MediaError(f"holds {picture.n_frames} pictures (animated), expected one")  # type: ignore[attr-defined]
    if picture.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA") or _png_bits(path) == 16:
        kind = "16 bits a channel" if _png_bits(path) == 16 else f"colours of the kind {picture.mode}"
        raise MediaError(f"holds {kind}, expected 8 bits a channel, RGB or grey")
    if min(picture.size) < SMALLEST_SIDE:
        raise MediaError(f"{picture.width}x{picture.height} pixels, expected {SMALLEST_SIDE} or more a side")
    if picture.width != picture.height:
        raise MediaError(f"{picture.width}x{picture.height} pixels, expected a square")


def _png_bits(path: Path) -> int | None:
    """Bits a channel by a PNG's header; Pillow silently returns 16-bit colours as 8."""
    with open(path, "rb") as file:
        head = file.read(25)
    return head[24] if head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) == 25 else None


def to_imagenet(images: Tensor) -> Tensor:
    """uint8 ``[..., 3, H, W]`` -> float32 of the same shape: (x / 255 - mean) / std a channel."""
    mean, std = _channels(images)
    return (images.float() / 255 - mean) / std


def from_imagenet(images: Tensor) -> Tensor:
    """ImageNet-normalised float ``[..., 3, H, W]`` -> 0..1, values outside clamped."""
    mean, std = _channels(images)
    return (images * std + mean).clamp(0, 1)


def to_uint8(images: Tensor) -> Tensor:
    """ImageNet-normalised float ``[..., 3, H, W]`` -> uint8 of the same shape, truncated.

    Not rounded, as the official SF2F code does: a byte can come back one lower from the trip
    through `to_imagenet`.
    """
    mean, std = _channels(images)
    return ((images * std + mean) * 255).clamp(0, 255).byte()


def vgg_crop(images: Images) -> Images:
    """The face of ``[..., H, W]`` by the box of SF2F's scoring, both ends included: ``[..., h, w]``.

    64x64 gives rows 12..58 and columns 15..48; 128x128 rows 24..117 and columns 30..97.
    """
    height, width = images.shape[-2:]
    left, top, right, bottom = VGG_BOX
    rows = slice(int(top * height), int(bottom * height) + 1)
    columns = slice(int(left * width), int(right * width) + 1)
    return images[..., rows, columns]


def _channels(like: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation ``[3, 1, 1]`` in the images' dtype, on their device."""
    import torch  # not at the top: a process that prepares photos starts faster without it

    dtype = like.dtype if like.is_floating_point() else torch.float32
    mean, std = (
        torch.tensor(values, dtype=dtype, device=like.device)[:, None, None]
        for values in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return mean, std
