"""What the gate catches and what it lets pass, measured on trained smoke systems; prints Markdown.

    python -m tests.faults.planted --reference FOLDER --honest FOLDER --cache FOLDER [--out FILE]

reference: runs of several seeds; honest: runs of the same command with other seeds; cache: the `--cache` of both, where
the trained systems lie. A fault is planted into the systems of some honest seeds, or into all that scores.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from baselines.anchors import Chance, GenderOracle, MeanFace, RealPhotoOracle
from sf2f_bench.benchmarks import benchmark_of
from sf2f_bench.config import RunConfig
from sf2f_bench.evaluation.test_people import Evaluation
from sf2f_bench.files import hash_of
from sf2f_bench.gate import Judgement, Rules, check
from sf2f_bench.progress import Reporter
from sf2f_bench.protocols.bench.generation import generate
from sf2f_bench.protocols.bench.scoring import score
from sf2f_bench.runs import pipeline
from sf2f_bench.runs.recording import Provenance, save_record
from sf2f_bench.runs.stages import Run, generated, keys_of, trained
from sf2f_bench.runs.systems import build
from sf2f_bench.training import Machine
from sf2f_bench.types import Answer, ModelSettings
from tests.faults import power
from tests.faults.planting import BrokenEyes, OtherPeople, cropped, shifted, swapped

MODEL, STEPS = "sf2f-64", 500
ANCHORS = (Chance, GenderOracle, MeanFace, RealPhotoOracle)
Faces = np.ndarray  # uint8 [N, 3, H, W]


@dataclass(frozen=True)
class Fault:
    """One way of breaking things: `plant` saves the records of these seeds, anchors included, into a folder."""

    kind: str
    name: str
    plant: Callable[[Bench, Sequence[int], Path], None]


class Bench:
    """The smoke benchmark over a cache, with trained systems by seed."""

    def __init__(self, cache: Path) -> None:
        self.config = RunConfig(budget="smoke", device="cpu", cache=cache, steps=STEPS)
        self.benchmark = benchmark_of(self.config)
        machine = Machine.start("cpu")
        self.run = pipeline.open_run(self.config, self.benchmark, machine, Reporter(silent=True))
        self.evaluation = self.run.evaluation

    def system(self, seed: int, steps: int = STEPS) -> tuple[Run, Any]:
        """A trained system, from the cache where it is there, and the run that it belongs to."""
        run = replace(self.run, config=self.config.model_copy(update={"seed": seed}))
        system: Any = build(MODEL, ModelSettings(self.benchmark.image_size, "smoke", "cpu", None, steps))
        trained(run, system)
        return run, system

    def faces(self, seed: int, steps: int = STEPS) -> Faces:
        """The faces that it draws."""
        run, system = self.system(seed, steps)
        return generated(run, system, keys_of(run, system)["faces"]).faces

    def faces_of_noised(self, seed: int, share: float) -> Faces:
        """Drawn after noise was added to every weight: `share` of the deviation of its tensor."""
        run, system = self.system(seed)
        random = torch.Generator().manual_seed(seed)
        state = {
            name: tensor + share * tensor.std() * torch.randn(tensor.shape, generator=random)
            if tensor.is_floating_point() and tensor.numel() > 1
            else tensor
            for name, tensor in system.state_dict().items()
        }
        system.load_state_dict(state)
        generator = torch.Generator().manual_seed(seed)
        return generate(system, run.store, run.device, generator, lambda _: None).faces

    def save(self, folder: Path, faces: dict[int, Faces], evaluation: Evaluation | None = None) -> None:
        """Records of the system with these faces, and of the anchors, as `evaluation` scores them."""
        evaluation = evaluation or self.evaluation
        system: Any = build(MODEL, ModelSettings(self.benchmark.image_size, "smoke", "cpu", None, STEPS))
        for seed, drawn_faces in faces.items():
            made = Provenance(
                hash_of([str(folder), seed]), system.card, system.recipe, seed, "smoke", "cpu", 0.0
            )
            save_record(evaluation, score(evaluation, Answer(faces=drawn_faces)), made, folder)
        for anchor in ANCHORS:
            made = Provenance(hash_of(anchor.card.name), anchor.card, {}, 0, "smoke", "cpu", 0.0)
            save_record(evaluation, score(evaluation, anchor().answer(evaluation)), made, folder)

    def changed(
        self, folder: Path, eyes: Callable[[Faces], Faces] | None = None, **changes: Any
    ) -> Evaluation:
        """An evaluation of its own, whose networks see altered pictures, or whose benchmark or store is changed."""
        old = self.evaluation
        networks = (
            old.extractors if eyes is None else {k: BrokenEyes(v, eyes) for k, v in old.extractors.items()}
        )
        benchmark, store = changes.get("benchmark", old.benchmark), changes.get("store", old.store)
        return Evaluation(benchmark, store, old.dataset, old.frontend, networks, folder / "features")


def of_faces(change: Callable[[Faces], Faces]) -> Callable[[Bench, Sequence[int], Path], None]:
    """A fault in generating: the system's faces alone are altered."""
    return lambda bench, seeds, folder: bench.save(
        folder, {seed: change(bench.faces(seed)) for seed in seeds}
    )


def of_system(make: Callable[[Bench, int], Faces]) -> Callable[[Bench, Sequence[int], Path], None]:
    """A fault in the system itself."""
    return lambda bench, seeds, folder: bench.save(folder, {seed: make(bench, seed) for seed in seeds})


def of_scoring(change: Callable[[Faces], Faces]) -> Callable[[Bench, Sequence[int], Path], None]:
    """A fault in front of the networks that judge: true photos and generated faces alike are altered."""
    return lambda bench, seeds, folder: bench.save(
        folder, {seed: bench.faces(seed) for seed in seeds}, bench.changed(folder, change)
    )


def smaller_gallery(bench: Bench, seeds: Sequence[int], folder: Path) -> None:
    """Galleries of 50 instead of 100."""
    benchmark = replace(bench.benchmark, gallery_size=50, ks=(1, 2, 5, 10, 20))
    bench.save(
        folder, {seed: bench.faces(seed) for seed in seeds}, bench.changed(folder, benchmark=benchmark)
    )


def other_people(keep_names: bool) -> Callable[[Bench, Sequence[int], Path], None]:
    """The first training people stand in for the test people, the data's hash unchanged."""

    def plant(bench: Bench, seeds: Sequence[int], folder: Path) -> None:
        store = OtherPeople(bench.evaluation.store, keep_names)
        bench.save(folder, {seed: bench.faces(seed) for seed in seeds}, bench.changed(folder, store=store))

    return plant


FAULTS = (
    Fault(
        "worse checkpoint", "60 steps instead of 500", of_system(lambda bench, seed: bench.faces(seed, 60))
    ),
    Fault(
        "worse checkpoint", "200 steps instead of 500", of_system(lambda bench, seed: bench.faces(seed, 200))
    ),
    Fault(
        "worse checkpoint", "weights with 10 % noise", of_system(lambda b, seed: b.faces_of_noised(seed, 0.1))
    ),
    Fault(
        "worse checkpoint", "weights with 30 % noise", of_system(lambda b, seed: b.faces_of_noised(seed, 0.3))
    ),
    Fault(
        "broken crop",
        "generated faces 8 of 64 pixels to the right",
        of_faces(lambda faces: shifted(faces, 8)),
    ),
    Fault(
        "broken crop",
        "generated faces 16 of 64 pixels to the right",
        of_faces(lambda faces: shifted(faces, 16)),
    ),
    Fault(
        "broken crop",
        "the middle half of generated faces, enlarged",
        of_faces(lambda faces: cropped(faces, 0.5)),
    ),
    Fault(
        "broken crop", "all pictures 2 pixels to the right, in scoring", of_scoring(lambda f: shifted(f, 2))
    ),
    Fault("swapped channels", "in generating", of_faces(swapped)),
    Fault("swapped channels", "in scoring", of_scoring(swapped)),
    Fault("changed gallery", "50 instead of 100", smaller_gallery),
    Fault("changed gallery", "other test people", other_people(keep_names=False)),
    Fault("changed gallery", "other test people under the old names", other_people(keep_names=True)),
    Fault("voices", "each face handed to the next person", of_faces(lambda faces: np.roll(faces, 1, axis=0))),
)


def copied(honest: Path, seeds: Sequence[int], folder: Path) -> None:
    """The honest records of these seeds and of the anchors."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in honest.rglob("*"):
        trained_ = path.name.startswith(f"{MODEL}-")
        if path.is_file() and (not trained_ or any(f"-seed{seed}-" in path.name for seed in seeds)):
            shutil.copyfile(path, folder / path.name)


def honest_seeds(honest: Path) -> list[int]:
    """Of the trained systems there."""
    return sorted(
        {int(path.name.split("-seed")[1].split("-")[0]) for path in honest.rglob(f"{MODEL}-w*.json")}
    )


def row_of(judgement: Judgement) -> str:
    """The verdict, and what it rests on, short."""
    fallen = [
        f"{line.metric} ({line.extractor_role})" for line in judgement.deciding if line.verdict == "regressed"
    ]
    if judgement.instrument.deviations:
        fallen.insert(0, f"the instrument ({judgement.instrument.deviations[0].anchor})")
    return (
        ", ".join(fallen) or "; ".join(dict.fromkeys(reason for reason in judgement.refused.values())) or "-"
    )


def measured_faults(bench: Bench, reference: Path, seeds: Sequence[int], rules: Rules) -> list[str]:
    """A table: each fault with one new seed, for each of `seeds`, and with all of them together."""
    rows = [
        f"| planted | how | one new seed: caught, of {len(seeds)} | exit codes | {len(seeds)} seeds: exit code | by |",
        "|---|---|---|---|---|---|",
    ]
    for fault in FAULTS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            fault.plant(bench, seeds, folder / "all")
            whole = check(folder / "all", reference, rules)
            codes = []
            for seed in seeds:
                copied(folder / "all", [seed], folder / f"{seed}")
                codes.append(check(folder / f"{seed}", reference, rules).exit_code)
        caught = sum(_caught(fault, code) for code in codes)
        shown = ", ".join(map(str, codes))
        rows.append(
            f"| {fault.kind} | {fault.name} | {caught} | {shown} | {whole.exit_code} | {row_of(whole)} |"
        )
        print(rows[-1], flush=True)
    return rows


def _caught(fault: Fault, code: int) -> bool:
    return code == 1 or (fault.kind == "changed gallery" and code == 2)


def measured_honest(honest: Path, reference: Path, rules: Rules) -> list[str]:
    """A table: honest re-runs of one, two and four new seeds, against all reference seeds and the first five."""
    rows = [
        "| reference seeds | new seeds at once | re-runs | 0: no regression | 1: false alarm | 2: cannot tell |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    known, seeds = honest_seeds(reference), honest_seeds(honest)
    for kept, size in itertools.product((len(known), 5), (1, 2, 4)):
        codes = []
        for start in range(0, len(seeds) - size + 1, size):
            with tempfile.TemporaryDirectory() as name:
                copied(honest, seeds[start : start + size], Path(name) / "new")
                copied(reference, known[:kept], Path(name) / "old")
                codes.append(check(Path(name) / "new", Path(name) / "old", rules).exit_code)
        counts = " | ".join(str(codes.count(code)) for code in (0, 1, 2))
        rows.append(f"| {kept} | {size} | {len(codes)} | {counts} |")
        print(rows[-1], flush=True)
    return rows


HEAD = """# What the gate catches
Measured by `python -m tests.faults.planted` on `sf2f-64` at smoke size, {steps} steps (n = {n} test identities), with
the default margins. Reference: training seeds {known}. It has none of the seeds below.

## Honest re-runs
The same command with training seeds {honest}.

"""
POWER = """
## Power
Of all {seeds} seeds, ten drawn at random stand for the reference and one, two or four others for the new side, {draws}
times; the draws overlap, so they are worth less than as many independent ones. The new side's deciding metrics, of
every identity alike, are then moved down by so many margins. *Shown to be no worse* is the exit code 0 of
`--non-inferior`. A fall of 0 gives the rate of false alarms, a fall of 1, the margin itself, the rates of both errors
where they are largest.

"""
COMPARED = """
## Seeds of one system in `compare`
How often two groups of seeds of this one system differ by an uncorrected p < .05, in {draws} random draws. With one
seed a side `compare` gives no verdict, because p then allows for new people alone.

"""
BETWEEN = """
## Planted faults
Faults in the systems of seeds {planted}: each judged alone (caught of {count}, exit codes), then all {count} together.

"""
TAIL = """
A fault in scoring shows in the anchors, whatever the system; another gallery size is refused (2). A fault in a system,
or in how it generates faces, is caught only if it moves the numbers further than another training seed does.
"""


def main() -> None:
    """Print the page and write it where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for option in ("--reference", "--honest", "--cache"):
        parser.add_argument(option, type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", type=int, default=3, help="honest seeds that faults are planted into")
    asked = parser.parse_args()
    rules, honest = Rules(), honest_seeds(asked.honest)
    bench = Bench(asked.cache)
    known = honest_seeds(asked.reference)
    folders = [asked.reference, asked.honest]
    numbers = {"steps": STEPS, "n": len(bench.evaluation.identities), "draws": power.DRAWS}
    numbers |= {"known": _listed(known), "honest": _listed(honest), "seeds": len(known) + len(honest)}
    runs = measured_honest(asked.honest, asked.reference, rules)
    curves = power.measured_power(folders, MODEL, rules)
    compared = power.measured_comparisons(folders, MODEL, rules)
    print("\n".join([*curves, "", *compared]), flush=True)
    seeds = honest[: asked.seeds]
    numbers |= {"planted": _listed(seeds), "count": len(seeds)}
    faults = measured_faults(bench, asked.reference, seeds, rules)
    if asked.out:
        sections = ((HEAD, runs), (POWER, curves), (COMPARED, compared), (BETWEEN, faults))
        text = "".join(words.format(**numbers) + "\n".join(rows) + "\n" for words, rows in sections) + TAIL
        asked.out.write_text(text, encoding="utf-8")


def _listed(seeds: Sequence[int]) -> str:
    return f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 2 else ", ".join(map(str, seeds))


if __name__ == "__main__":
    main()
