"""The voices that another program needs to generate faces to be scored here, and the windows of them that count.

OUT/README.txt, OUT/export.json                     what this is; what it was made from
OUT/SPLIT/voices/IDENTITY/RECORDING.flac            16 kHz, mono, 16 bits: exactly the samples that the harness hears
OUT/SPLIT/segments.csv                              where the protocol's windows are in them
OUT/train/faces/IDENTITY/PHOTO.png, OUT/val/...     as systems are trained on them; none of test people
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sf2f_bench.audio import LogFilterbank, decode
from sf2f_bench.audio.decode import AUDIO_SUFFIXES, to_int16
from sf2f_bench.audio.vad import PADDING_MS, speech_runs, voiced_frames
from sf2f_bench.data.media import Recording
from sf2f_bench.data.prepared import PreparedStore
from sf2f_bench.data.workers import on_this_machine
from sf2f_bench.evaluation.segments import segment_places
from sf2f_bench.faces.images import PHOTO_SUFFIXES
from sf2f_bench.files import (
    Damaged,
    is_plain_name,
    only_one,
    read_json,
    write_atomically,
    write_flac,
    write_json,
)
from sf2f_bench.progress import Reporter
from sf2f_bench.protocols.names import SEGMENT_FRAMES, SEGMENTS
from sf2f_bench.types import SAMPLE_RATE, BenchError, Dataset

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray

COLUMNS = ("identity", "use", "window", "recording", "start", "seconds")
Span = tuple[int, int]  # samples, half open


class PersonVoices(NamedTuple):
    """One person's usable recordings, and whether takes are measured in their split."""

    split: str
    identity: str
    keys: tuple[str, ...]
    lengths: tuple[int, ...]  # frames of speech
    takes: bool


class Window(NamedTuple):
    """One evaluation window: its use, its number within that, the recording and the first frame of speech."""

    use: str
    number: int
    recording: int
    start: int


def export(
    dataset: Dataset,
    store: PreparedStore,
    frontend: LogFilterbank,
    out: Path,
    benchmark: str,
    splits: Sequence[str],
    reporter: Reporter,
    jobs: int = 2,
) -> None:
    """Write the voices of `splits` into `out`; existing files are kept, another export into it is waited for.

    store: of `dataset`, prepared with `frontend`. Of test people only recordings with an evaluation window are
    written. Raises BenchError where `out` holds something else, where a data set has features and no sound, and
    where a recording has changed since it was prepared.
    """
    _refuse_other_contents(out)
    with only_one(out / ".lock", f"exporting into {out}", reporter.say):
        _claim(out, {"benchmark": benchmark, "data_hash": store.data_hash}, reporter)
        _export(dataset, store, frontend, out, splits, reporter, jobs)
    facts = {"licence": store.card.licence, "size": store.image_size, "frames": SEGMENT_FRAMES}
    text = README.format(benchmark=benchmark, **facts)
    write_atomically(out / "README.txt", lambda path: path.write_text(text, encoding="utf-8"))


def _export(
    dataset: Dataset,
    store: PreparedStore,
    frontend: LogFilterbank,
    out: Path,
    splits: Sequence[str],
    reporter: Reporter,
    jobs: int,
) -> None:
    for split in splits:
        people = _people(store, split)
        rows: dict[str, list[tuple[str, ...]]] = {}
        work = partial(export_person, dataset, frontend, out)
        with reporter.bar(f"export the {split} split (people)", len(people)) as bar:
            for identity, found in on_this_machine(work, people, jobs):
                rows[identity] = found
                bar.advance()
        table = [COLUMNS, *(row for person in people for row in rows[person.identity])]
        write_atomically(out / split / "segments.csv", partial(_write_table, table))
        if split != "test":
            _write_faces(store, people, out / split / "faces")


def _refuse_other_contents(out: Path) -> None:
    """Hidden files are no contents: a process that was killed may have left one."""
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if "export.json" not in names and any(not name.startswith(".") for name in names):
        raise BenchError(f"{out} is not empty and holds no exported voices: choose a new or empty folder")


def _claim(out: Path, facts: dict[str, str], reporter: Reporter) -> None:
    """Mark a folder as this export's; refuse one of other data."""
    mark = out / "export.json"
    if not mark.exists():
        write_json(mark, facts)
    try:
        found = read_json(mark)
    except Damaged as error:
        raise BenchError(f"{error}: choose another folder, or delete this one to export again") from error
    if found != facts:
        raise BenchError(
            f"{out} holds the voices of other data than {facts['benchmark']}: choose another folder"
        )


def _people(store: PreparedStore, split: str) -> list[PersonVoices]:
    names = [identity.id for identity in store.identities(split)]
    if paths := [name for name in names if not is_plain_name(name)]:
        raise BenchError(
            f"expected identities whose names can be those of folders, got {paths[0]!a}: rename it in the data set"
        )
    lengths = [tuple(len(frames) for frames in store.voices(name)) for name in names]
    takes = min(map(len, lengths)) > 1
    return [
        PersonVoices(split, name, tuple(store.keys(name, "voice")), long, takes)
        for name, long in zip(names, lengths, strict=True)
    ]


def windows_of(person: PersonVoices, frames: int) -> list[Window]:
    """The windows of `frames` frames behind a person's face, and those of the two takes, in protocol order.

    See `sf2f_bench.evaluation.segments`: the face is generated from `evaluation_segments`, the takes from
    `repeat_segments`.
    """
    windows = [
        Window("face", number, *place) for number, place in enumerate(segment_places(person.lengths, frames))
    ]
    if person.takes:
        most = max(1, SEGMENTS * SEGMENT_FRAMES // frames // 2)
        for use, recording in (("first-take", 0), ("second-take", len(person.lengths) - 1)):
            places = segment_places([person.lengths[recording]], frames)[:most]
            windows += [Window(use, number, recording, start) for number, (_, start) in enumerate(places)]
    return windows


def export_person(
    dataset: Dataset, frontend: LogFilterbank, out: Path, person: PersonVoices
) -> tuple[str, list[tuple[str, ...]]]:
    """Write one person's recordings; returns the identity and its rows of the table."""
    windows = windows_of(person, frontend.segment_frames)
    heard = {window.recording for window in windows}
    utterances = {utterance.key: utterance for utterance in dataset.utterances(person.identity)}
    files = file_names(person.keys, AUDIO_SUFFIXES, ".flac")
    speech: dict[int, list[Span]] = {}
    for number, (key, file) in enumerate(zip(person.keys, files, strict=True)):
        path = out / person.split / "voices" / person.identity / file
        if number in heard:
            samples = to_int16(decode(path)) if path.exists() else _write_recording(utterances[key], path)
            speech[number] = _speech_of(samples, frontend, person, number)
        elif person.split != "test" and not path.exists():
            _write_recording(utterances[key], path)
    rows: list[tuple[str, ...]] = []
    for window in windows:
        file = f"voices/{person.identity}/{files[window.recording]}"
        length = person.lengths[window.recording]
        for first, last in window_spans(speech[window.recording], window.start, length, frontend):
            times = (f"{first / SAMPLE_RATE:.7f}", f"{(last - first) / SAMPLE_RATE:.7f}")
            rows.append((person.identity, window.use, str(window.number), file, *times))
    return person.identity, rows


def _write_recording(utterance: object, path: Path) -> NDArray[np.int16]:
    """Write a recording to `path` and return its samples."""
    if not isinstance(utterance, Recording):
        raise BenchError(
            f"{getattr(utterance, 'key', utterance)} holds features and no sound, so its voice cannot be exported: "
            "use the recordings (raw_wav) instead of feature files"
        )
    samples = to_int16(utterance.waveform())
    write_atomically(path, lambda temporary: write_flac(temporary, samples))
    return samples


def _speech_of(
    samples: NDArray[np.int16], frontend: LogFilterbank, person: PersonVoices, number: int
) -> list[Span]:
    """The spans of speech in a recording. Raises BenchError where they differ from those that were prepared."""
    length = SAMPLE_RATE * frontend.vad_frame_ms // 1000
    verdicts = voiced_frames(samples, frontend.vad_mode, length)
    runs = speech_runs(verdicts, PADDING_MS // frontend.vad_frame_ms)
    spans = [(first * length, last * length) for first, last in runs]
    total = sum(last - first for first, last in spans)
    frames = 1 + max(0, -(-(total - frontend.window) // frontend.step))
    if frames != person.lengths[number]:
        raise BenchError(
            f"{person.identity}/{person.keys[number]} has {frames} frames of speech, not the {person.lengths[number]} "
            "of when it was prepared: the recording has changed; prepare again and export into a new folder"
        )
    return spans


def window_spans(speech: Sequence[Span], start: int, length: int, frontend: LogFilterbank) -> list[Span]:
    """The pieces of a recording that make up the window at frame `start` of its speech, in order.

    length: frames of speech in the recording; one shorter than a window is repeated until the window is full.
    """
    left = frontend.segment_frames
    spans: list[Span] = []
    while left:
        count = min(left, length - start)
        spans += _part_of(speech, start * frontend.step, (start + count) * frontend.step)
        left, start = left - count, 0
    return spans


def _part_of(speech: Sequence[Span], start: int, stop: int) -> list[Span]:
    """Samples start..stop of the joined speech, as pieces of the recording."""
    found = []
    before = 0  # speech before this run
    for first, last in speech:
        low, high = max(start - before, 0), min(stop - before, last - first)
        if low < high:
            found.append((first + low, first + high))
        before += last - first
    return found


def file_names(keys: Sequence[str], suffixes: frozenset[str], suffix: str) -> list[str]:
    """A flat file name for each key: folders joined by _, the suffix replaced; numbered where two would be equal."""
    bare = [key[: -len(Path(key).suffix)] if Path(key).suffix.lower() in suffixes else key for key in keys]
    names = [name.replace("/", "_") + suffix for name in bare]
    if len({name.casefold() for name in names}) < len(names):
        names = [f"{number:05d}-{name}" for number, name in enumerate(names)]
    return names


def _write_faces(store: PreparedStore, people: Sequence[PersonVoices], folder: Path) -> None:
    for person in people:
        names = file_names(store.keys(person.identity, "face"), PHOTO_SUFFIXES, ".png")
        for image, name in zip(store.faces(person.identity), names, strict=True):
            path = folder / person.identity / name
            if not path.exists():
                write_atomically(path, partial(_write_picture, image))


def _write_picture(image: ByteArray, path: Path) -> None:
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(path, format="PNG")


def _write_table(rows: Sequence[Sequence[str]], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


README = """\
Voices of {benchmark}, for a program that generates faces from voices
====================================================================
SPLIT/voices/IDENTITY/*.flac   recordings, 16 kHz, mono, 16 bits: the samples that sf2f-bench itself uses
SPLIT/segments.csv             the parts of them that count
SPLIT/faces/IDENTITY/*.png     photos at {size}x{size} pixels, for training and validation; there are none of test
                               people
Licence of the recordings and photos: {licence}

What a program may use of a test person
  The protocol uses at most 20 windows of 1.25 s of speech. Every window has one row or more in segments.csv; a window
  whose speech had pauses in it has several, to be joined in their order: they add up to 1.25 s.
    identity   the person; nothing else is said about test people
    use        face: for the face that is scored; first-take and second-take: two different recordings, for one more
               face each, which measure how consistent a system is
    window     number of the window within its use, from 0
    recording  file below SPLIT
    start      where in that file the piece begins, in seconds
    seconds    its length
  Speech is what WebRTC's voice activity detection keeps, as sf2f-bench runs it. A window is {frames} frames of 10 ms; a
  filter bank with windows of 25 ms that is computed over the whole recording reads 15 ms further for its last frames.
  A recording with less than 1.25 s of speech is repeated until the window is full.
  A program may use less than that. A row that used more than segments.csv lists, or other recordings of the person,
  cannot be compared with the others: say so with --description.

How to make the folder that is scored
  FOLDER/IDENTITY/1.png          the face, for every identity of test/voices: square, 8 bits a channel, RGB (or JPEG);
                                 another size than {size}x{size} is resized
  Or, for consistency too: the first picture by name from first-take, the second from second-take, for everybody. Then
  the first one is also the face that is scored.
  sf2f-bench score FOLDER --benchmark {benchmark} --name MINE   (and the folders of the data, as for this export)

These are voices of people (or synthetic ones) for comparing models. They are not for identifying anybody.
"""
