"""Pictures of faces: reading, colour spaces and the crop of the face that VGG-Face networks are given."""

from sf2f_bench.faces.images import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    from_imagenet,
    read_photo,
    to_imagenet,
    to_uint8,
    vgg_crop,
)

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "from_imagenet",
    "read_photo",
    "to_imagenet",
    "to_uint8",
    "vgg_crop",
]
