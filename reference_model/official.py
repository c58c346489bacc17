"""Checkpoints of the official SF2F code in our networks, entry by entry.

The official names are those of its state dicts (github.com/BAI-Yeqi/SF2F_PyTorch, commit e346b68). Entries that are
missing, unexpected or of another shape are refused and named. The authors have published no weights (issue 1 there);
checkpoints that a run of their code saved can be loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from reference_model.sf2f import (
    DISCRIMINATOR_CHANNELS,
    GENERATORS,
    VOICE_CHANNELS,
    VOICE_KERNELS,
    Generator,
    IdentityDiscriminator,
    ImageDiscriminator,
    build_generator,
    resolutions,
)
from sf2f_bench import BenchError, filled, renamed_tensors

UPSAMPLING = {
    64: ("up_layers.0", "up_layers.1", "up_layers.2", "up_layers.3"),
    128: ("up_low_layers.0", "up_low_layers.1", "up_low_layers.2", "up_low_layers.3", "up_mid_layer"),
}
HEADS = {64: ("gnet",), 128: ("gnet_low", "gnet_mid")}


# ---------------------------------------------------------------- the names


def generator_modules(image_size: int, fuser: bool) -> dict[str, str]:
    """The official name of every module of a generator that has tensors, by our name."""
    names = {"encoder.project": "encoder.model.4"}
    for block in range(len(VOICE_CHANNELS)):
        for branch, kernel in enumerate(VOICE_KERNELS):
            for layer in (0, 1):  # convolution, batch normalisation
                ours = f"encoder.blocks.{block}.branches.{branch}.{layer}"
                names[ours] = f"encoder.model.{block}.conv_k{kernel}.model.{layer}"
    if fuser:
        names["fuser.query"] = "encoder.attn_fuser.attention.linear_in"
        names["fuser.out"] = "encoder.attn_fuser.attention.linear_out"
    for layer in (0, 1):
        names[f"decoder.start.{layer}"] = f"decoder.fc.{layer}"
        for block, official in enumerate(UPSAMPLING[image_size]):  # there, layer 0 copies the pixels
            names[f"decoder.blocks.{block}.{layer}"] = f"decoder.{official}.{layer + 1}"
    for head, official in enumerate(HEADS[image_size]):
        for layer in (0, 2):
            names[f"decoder.heads.{head}.{layer}"] = f"decoder.{official}.{layer}"
    return names


def discriminator_modules(kind: str, image_size: int) -> dict[str, str]:
    """Likewise of an "image" or an "identity" discriminator."""
    stages = len(DISCRIMINATOR_CHANNELS[image_size])
    layers = [3 * stage + part for stage in range(stages) for part in (0, 1)][:-1]  # none is normalised last
    if kind == "image":
        return {f"trunk.{n}": f"cnn.{n}" for n in layers} | {"score": "classifier"}
    heads = {"project": "cnn.2", "real": "real_classifier", "identity": "id_classifier"}
    return {f"trunk.{n}": f"cnn.0.{n}" for n in layers} | heads


def translate(
    network: nn.Module, modules: Mapping[str, str], official: Mapping[str, Tensor], what: str
) -> dict[str, Tensor]:
    """An official state dict as one of `network`, whose modules `modules` gives the official names of.

    Raises what `sf2f_bench.renamed_tensors` raises.
    """
    parts = ((ours, *ours.rpartition(".")[::2]) for ours in network.state_dict())
    names = {ours: f"{modules[module]}.{leaf}" for ours, module, leaf in parts}
    return renamed_tensors(network, names, official, what)


# ---------------------------------------------------------------- the networks


def generator_tensors(name: str, official_state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of our generator `name` (one of `GENERATORS`) from the official generator's state dict.

    Raises BenchError for another name or for a state dict that is not this generator's.
    """
    with torch.device("meta"):  # names and shapes alone
        network = build_generator(name)
    return translate(network, generator_modules(*GENERATORS[name]), official_state, f"the generator {name}")


def load_generator(name: str, official_state: Mapping[str, Tensor]) -> Generator:
    """Our generator `name` with the official generator's weights, in evaluation mode.

    Raises what `generator_tensors` raises.
    """
    with torch.device("meta"):
        network = build_generator(name)
    return filled(network, generator_tensors(name, official_state)).eval()


def load_discriminators(
    name: str, states: Mapping[str, Sequence[Mapping[str, Tensor]]]
) -> dict[str, nn.ModuleList]:
    """Our discriminators of the generator `name` with official weights: {"image": ..., "identity": ...}.

    states has the same two keys, and under each one official state dict a resolution, lowest first. In a
    checkpoint of the official training these are the entries d_img_state_0, d_img_state_1 and d_ac_state_0,
    d_ac_state_1. The number of identities is that of the weights. Raises BenchError for another name or key,
    another number of resolutions, or a state dict that does not fit.
    """
    if name not in GENERATORS:
        raise BenchError(f"SF2F has no generator {name!r}: choose one of {', '.join(GENERATORS)}")
    sizes = resolutions(GENERATORS[name][0])
    counts = {kind: len(states[kind]) for kind in states}
    if counts != {"image": len(sizes), "identity": len(sizes)}:
        raise BenchError(
            f"expected {len(sizes)} image and {len(sizes)} identity state dicts, one a resolution "
            f"({', '.join(map(str, sizes))}), got {counts}"
        )
    return {
        kind: nn.ModuleList(
            _discriminator(kind, size, state) for size, state in zip(sizes, states[kind], strict=True)
        )
        for kind in ("image", "identity")
    }


def _discriminator(kind: str, size: int, state: Mapping[str, Tensor]) -> nn.Module:
    with torch.device("meta"):
        if kind == "image":
            network: nn.Module = ImageDiscriminator(size)
        else:
            identities = next((t.numel() for n, t in state.items() if n.endswith("id_classifier.bias")), 1)
            network = IdentityDiscriminator(identities, size)
    what = f"the {kind} discriminator at {size} pixels"
    return filled(network, translate(network, discriminator_modules(kind, size), state, what))
