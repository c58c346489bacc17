"""Reads feature files in a process of its own: a crash of it is a failed test and not the end of pytest."""

from __future__ import annotations

import json
import resource
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from sf2f_bench.data.mel_pickles import read_mel_pickle
from sf2f_bench.types import MediaError

MORE_MEMORY = 512 * 2**20  # bytes that reading a test's few megabytes may take


class Reader:
    """``Reader(folder).read(content)``: the array, or the message of its MediaError; asserts that it is either."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "id00001_clip_00001.pickle"
        self.process: subprocess.Popen[bytes] | None = None

    def read(self, content: bytes) -> np.ndarray | str:
        self.path.write_bytes(content)
        if self.process is None:
            command = [sys.executable, __file__, str(self.path)]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        length = self.process.stdout.read(4)
        if not length:
            process, self.process = self.process, None
            raise AssertionError(f"the reader ended with {process.wait()} (negative: by that signal)")
        answer = json.loads(self.process.stdout.read(struct.unpack("<I", length)[0]))
        assert "error" not in answer, answer["error"]
        if "refused" in answer:
            assert answer["refused"].startswith(f"{self.path}: ")
            assert len(answer["refused"]) < 500 + len(str(self.path))
            return answer["refused"]
        return np.array(answer["array"], np.float32)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


def _answer(path: Path) -> dict[str, Any]:
    try:
        found = read_mel_pickle(path)
    except MediaError as error:
        if isinstance(error.__cause__, MemoryError | RecursionError):
            return {"error": f"{type(error.__cause__).__name__}: {error}"}
        return {"refused": str(error)}
    except BaseException as error:
        return {"error": repr(error)}
    if found.dtype != np.float32 or found.ndim != 2 or found.shape[0] != 40 or not np.isfinite(found).all():
        return {"error": f"{found.dtype} {found.shape}"}
    return {"array": found.tolist()}


def main() -> None:
    """Answer every line with the content of the file."""
    path = Path(sys.argv[1])
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MORE_MEMORY,) * 2)
    while sys.stdin.buffer.readline():
        answer = json.dumps(_answer(path)).encode()
        sys.stdout.buffer.write(struct.pack("<I", len(answer)) + answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
