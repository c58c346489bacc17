"""Trained weights that are kept for others: half precision, with a card, in a file that `NAME@FILE` takes.

Those of the reference results come with a clone of the repository; `NAME@reference` names them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sf2f_bench.files import header_of, save_tensors
from sf2f_bench.types import BenchError, SpeechToFace, with_width

if TYPE_CHECKING:
    from sf2f_bench.runs.stages import Run

REFERENCE = "reference"  # in place of a file
FOLDER = Path("results", "reference", "weights")


def keep_weights(run: Run, system: SpeechToFace, folder: Path, record: str) -> Path:
    """Write a trained system's tensors into `folder`, named after it and its seed unless that is 0.

    What only a training needs is left out where the system leaves it out of the state dict of loaded weights. record:
    the key of the record that these weights gave.
    """
    card, seed = system.card, run.config.seed
    label = with_width(card.name, card.width)
    fresh = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in system.state_dict().items()
    }
    facts = {
        "model": card.name,
        "width": card.width,
        "source": f"{label}, budget {run.config.budget}, seed {seed}, on {run.benchmark.name}",
        "licence": card.licence,
        "limits": card.limits,
        "record": record,
    }
    name = card.name if seed == 0 else f"{card.name}-seed{seed}"
    return save_tensors(folder / f"{name}.safetensors", fresh, facts)


def reference_file(name: str) -> Path:
    """The reference weights of a system by its name. Raises BenchError where there are none."""
    for file in _files():
        if file.stem == name:
            return file
    known = sorted(file.stem for file in _files())
    there = (
        f"there are those of {', '.join(known)}"
        if known
        else f"no {FOLDER} is here: run from a clone of the repository"
    )
    raise BenchError(f"--models {name}@{REFERENCE}: there are no reference weights of {name}; {there}")


def references() -> dict[str, dict[str, Any]]:
    """Name -> what its file says of itself, for every file of reference weights; empty outside a clone."""
    return {f"{file.stem}@{REFERENCE}": header_of(file) for file in _files()}


def _files() -> Iterator[Path]:
    """Of the working folder, else of the clone that the package is used from."""
    for root in (Path(), Path(__file__).parents[2]):
        if found := sorted((root / FOLDER).glob("*.safetensors")):
            yield from found
            return
