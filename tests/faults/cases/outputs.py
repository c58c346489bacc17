"""Where results are to go: every option that names an output, in places that cannot take it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.faults.cases import Case, Spoil, nothing
from tests.faults.cases.worlds import GALLERY, MODEL, RUN

FILES: dict[str, tuple[tuple[str, ...], str]] = {  # the option comes last
    "compare --json": (("compare", "sf2f-64", "real-photo-oracle", "--json"), "records"),
    "compare --csv": (("compare", "sf2f-64", "real-photo-oracle", "--csv"), "records"),
    "check --json": (("check", "results", "--against", "reference", "--json"), "records"),
    "check --markdown": (("check", "results", "--against", "reference", "--markdown"), "records"),
    "check --junit": (("check", "results", "--against", "reference", "--junit"), "records"),
    "export --out": (("export", "--out"), "records"),
    "audit --json": (("audit", "tiny-64", "--jobs", "1", "--json"), "finished"),
    "associate --out": (
        (
            *(
                "associate",
                "lists",
                "--voices",
                "wav",
                "--faces",
                "faces",
                "--model",
                "sf2f-64@small.safetensors",
            ),
            *("--judge", "embedded-judge", "--out"),
        ),
        "association",
    ),
}
FOLDERS: dict[str, tuple[tuple[str, ...], str]] = {
    "report --out": (("report", "--out"), "records"),
    "new --out": (("new", "model", "deep-listener", "--out"), "empty"),
    "prepare --out": (("prepare", "tiny-64", "--jobs", "1", "--out"), "empty"),
    "prepare --cache": (("prepare", "tiny-64", "--jobs", "1", "--cache"), "empty"),
    "audit --cache": (("audit", "tiny-64", "--jobs", "1", "--cache"), "empty"),
    "export-voices --out": (("export-voices", "tiny-64", "--jobs", "1", "--out"), "finished"),
    "run --results": ((*RUN, *MODEL, "--results"), "finished"),
    "run --cache": ((*RUN, *MODEL, "--cache"), "empty"),
    "score --results": (
        ("score", "drawn", "--benchmark", "tiny-64", "--jobs", "1", *GALLERY, "--results"),
        "finished",
    ),
    "weights build-embedded --out": (("weights", "build-embedded", "--out"), "empty"),
}
PLACES = {
    "below a file": "in-the-way/below/out",
    "a loop": "loop",
    "below a loop": "loop/out",
    "below a broken link": "dangling/out",
    "in /proc": "/proc/sf2f/out",
    "in /sys/kernel": "/sys/kernel/sf2f-bench-out",
    "full device": "full",
    "300 letters": "x" * 300,
    "empty": "",
}
REPLACED = "a link that leads nowhere is replaced by the file, as an older file would be"


def cases() -> Iterator[Case]:
    for command, (words, world) in {**FILES, **FOLDERS}.items():
        is_file = command in FILES
        for place, path in PLACES.items():
            end = ".csv" if command == "export --out" and path else ""
            yield Case(
                "outputs",
                f"{command} {place}",
                (*words[:-1], f"{words[-1]}={path}{end}"),
                world,
                _planted,
                says=_last(path),
                justified=REPLACED if is_file and place == "a loop" else "",
            )
        other, end = ("a folder", "taken.csv") if is_file else ("a file", "in-the-way")
        yield Case("outputs", f"{command} {other}", (*words, end), world, _planted, says=end)
    yield Case(
        "outputs",
        "prepare --out holds other things",
        ("prepare", "tiny-64", "--jobs", "1", "--out", "taken.csv"),
        "empty",
        _planted,
        says="not empty",
    )
    yield Case(
        "outputs",
        "export-voices --out holds other things",
        ("export-voices", "tiny-64", "--jobs", "1", "--out", "taken.csv"),
        "finished",
        _planted,
        says="not empty",
    )
    yield Case(
        "outputs",
        "new --out holds a file of that name",
        ("new", "model", "deep-listener"),
        "empty",
        _write("deep_listener.py"),
        says="already exist",
    )
    yield Case(
        "outputs",
        "new --out holds a test of that name",
        ("new", "model", "deep-listener"),
        "empty",
        _write("test_deep_listener.py"),
        says="already exist",
    )
    for suffix in ("", ".json", ".xlsx", ".CSV", ".parquet.gz"):
        yield Case(
            "outputs",
            f"export --out named {suffix!r}",
            ("export", "--out", f"t{suffix}"),
            "records",
            nothing,
            says="--out",
        )


def _last(path: str) -> str:
    """A part of the path that the message must name."""
    return {"": "", "full": ""}.get(path, path.strip("/").split("/")[0][:20])


def _planted(folder: Path) -> None:
    (folder / "in-the-way").write_text("x")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "dangling").symlink_to(folder / "nowhere")
    (folder / "full").symlink_to("/dev/full")
    (folder / "full.csv").symlink_to("/dev/full")
    (folder / "taken.csv").mkdir()
    (folder / "taken.csv" / "mine.txt").write_text("x")


def _write(name: str) -> Spoil:
    return lambda folder: (folder / name).write_text("mine = 1\n")
