"""Writing so that a kill at any moment leaves either the old file or the new one, never half."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from sf2f_bench.types import SAMPLE_RATE, BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

T = TypeVar("T")
CHECKSUM = "checksum"  # in the dictionary of a file of tensors
OTHER_FOLDER = "or choose another folder"
CANNOT_WRITE = {  # error of the system -> what to do
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), f"free some space, {OTHER_FOLDER}"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), f"make it writable, {OTHER_FOLDER}"),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP),
        f"a file or a broken link is in the way: remove it, {OTHER_FOLDER}",
    ),
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EIO: f"check the disk, {OTHER_FOLDER}",
}
OF_A_NAME = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP)  # not of a disk
LEFT = "nothing that was made before is lost, and the same command goes on from there"
FULL = 1 << 16  # bytes: a disk with less free space is full


class Damaged(BenchError):  # noqa: N818 - a state of a file
    """A file that this package wrote can no longer be read; whoever needs it makes it anew where that is possible."""


def read_or_damaged(path: Path, read: Callable[[Path], T]) -> T:
    """What `read` makes of a file of this package. Raises Damaged where it cannot."""
    _check_is_file(path)
    try:
        return read(path)
    except (PermissionError, MemoryError, BenchError):
        raise
    except Exception as error:
        raise Damaged(f"{path} is damaged ({' '.join(str(error).split())[:200]})") from error


def _check_is_file(path: Path) -> None:
    """Raise Damaged for a folder, and for a pipe, which would be waited for."""
    if path.exists() and not path.is_file():
        raise Damaged(f"{path} is damaged (it is no file)")


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote. Raises Damaged where that cannot be read."""
    return read_or_damaged(path, lambda file: json.loads(file.read_text(encoding="utf-8")))


def cannot_write(folder: Path, error: Exception) -> BenchError | None:
    """The error to show where a disk refused to be written to; None for every other exception.

    safetensors and libsndfile raise exceptions of their own on a full disk.
    """
    number = error.errno if isinstance(error, OSError) else None
    if found := re.search(r"\(os error (\d+)\)", str(error)):
        number = int(found[1])
    if number is None and not isinstance(error, OSError) and _is_full(folder):
        number = errno.ENOSPC
    if number not in CANNOT_WRITE:
        return None
    where = folder
    if isinstance(error, OSError) and number in OF_A_NAME and (name := error.filename2 or error.filename):
        where = Path(os.fsdecode(name))
    return BenchError(f"{where} cannot be written to ({os.strerror(number)}): {CANNOT_WRITE[number]}; {LEFT}")


def _is_full(folder: Path) -> bool:
    return folder.is_dir() and shutil.disk_usage(folder).free < FULL


def check_writable(folder: Path, option: str) -> None:
    """Raise BenchError where a folder cannot be written to, or cannot be made; nothing is made."""
    try:
        folder.stat()
    except FileNotFoundError:
        if not folder.is_symlink():
            return check_writable(folder.parent, option) if folder != folder.parent else None
        raise BenchError(
            f"{option}: {folder} is a link to a folder that does not exist: make that, {OTHER_FOLDER}"
        ) from None
    except OSError as error:
        raise BenchError(
            f"{option}: {folder} cannot be used ({error.strerror}): choose another folder"
        ) from error
    if not folder.is_dir():
        raise BenchError(f"{option}: expected a folder, but {folder} is none: choose another folder")
    try:  # by writing: root has every permission, but not in /proc or on a read-only disk
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise BenchError(
            f"{option}: {folder} cannot be written to ({error.strerror}): make it writable, {OTHER_FOLDER}"
        ) from error
    return None


def make_folder(folder: Path) -> None:
    """Make a folder and its parents. Raises OSError as a disk does that refuses, in a folder of the system too."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # /proc refuses in this way
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder)) from error


@contextmanager
def only_one(lock: Path, doing: str, say: Callable[[str], object]) -> Iterator[None]:
    """Hold a lock file, which the system frees however the process ends; where another run holds it, say so and wait.

    doing: what is done under the lock, "preparing FOLDER".
    """
    from filelock import FileLock, Timeout

    holder = lock.with_name(f"{lock.name}.holder")
    with refusals_named(lock.parent):
        make_folder(lock.parent)
        held = FileLock(lock)
        try:
            held.acquire(timeout=0)
        except Timeout:
            known = f" ({holder.read_text(encoding='utf-8')})" if holder.exists() else ""
            say(f"another run{known} is {doing}: waiting for it to end; Ctrl-C stops the waiting")
            held.acquire()
    try:
        with suppress(OSError):
            holder.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink()
        held.release()


def write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary file beside `path`, then fsync and rename it over `path`.

    What a killed process left of such files is removed. A device or a pipe, such as /dev/stdout, is written to itself.
    Raises BenchError where the disk is full or read-only.
    """
    with refusals_named(path.parent):
        return _write_atomically(path, write)


@contextmanager
def refusals_named(folder: Path) -> Iterator[None]:
    """Raise BenchError where a disk refuses what is written into a folder inside; see `cannot_write`."""
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        if fault := cannot_write(folder, error):
            raise fault from error
        raise


def _write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    # A device or a pipe is written to, and not replaced.
    if path.exists() and not (path.is_file() or path.is_dir()):
        return _write_through(path, write)
    prefix = f".{path.name[:50]}.{_owner(os.getpid())}"
    make_folder(path.parent)
    _remove_leftovers(path.parent.absolute(), os.getpid())
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _write_through(path: Path, write: Callable[[Path], object]) -> Path:
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / path.name
        write(temporary)
        path.write_bytes(temporary.read_bytes())
    return path


def _owner(process: int) -> str:
    """Part of the name of a temporary file: the machine and the process that fills it."""
    return f"{zlib.crc32(platform.node().encode()):08x}-{process}-"


@cache
def _remove_leftovers(folder: Path, writer: int) -> None:
    """Remove temporary files whose process, of this machine, has ended; once for each process that writes here.

    A listing for every file would make the time of a folder of shards grow with the square of their number.
    """
    for entry in list(os.scandir(folder)):
        found = re.match(r"\..+\.([0-9a-f]{8}-(\d+)-)", entry.name)
        if found and found[1] == _owner(int(found[2])) and not _is_running(int(found[2])):
            Path(entry).unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of somebody else
        return True
    return True


def write_json(path: Path, value: object) -> Path:
    """Write `value` as indented JSON, atomically."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"
    return write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_flac(target: Path | BinaryIO, samples: NDArray[Any]) -> None:
    """Write mono samples ``[T]`` at 16 kHz, int16 or float in -1..1, as FLAC of 16 bits; not atomically."""
    import soundfile

    soundfile.write(target, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")


def as_text(name: str) -> str:
    """A file's name as UTF-8 can hold it: bytes of another encoding are spelt out."""
    return name.encode("utf-8", "backslashreplace").decode()


def is_plain_name(name: str) -> bool:
    """Whether a name from a stranger's data names one entry of a folder on any system: no path, not hidden, printable.

    Only such a name may be joined to a folder: ``../x``, ``/x`` and ``C:x`` lie elsewhere.
    """
    is_entry = name != "" and name == PurePosixPath(name).name == PureWindowsPath(name).name
    return is_entry and not name.startswith(".") and name.isprintable() and len(name.encode()) <= 255


def hash_of(value: object) -> str:
    """16 hexadecimal digits of the SHA-256 of `value` as canonical JSON."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def seed_of(*parts: object) -> int:
    """A 63-bit seed that depends on every part and on nothing else."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None
) -> Path:
    """Write tensors and a JSON-able dictionary, with their checksum, into one safetensors file, atomically."""
    from safetensors.torch import save_file

    flat = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    facts = {**(metadata or {}), CHECKSUM: _checksum(flat, metadata or {})}
    # One entry alone: safetensors writes several in an order of chance.
    header = {"json": json.dumps(facts)}
    return write_atomically(path, lambda temporary: save_file(flat, temporary, metadata=header))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote: (tensors on the CPU, dictionary).

    Raises Damaged where the file is cut or a byte of it has changed; files of older versions have no checksum.
    """
    from safetensors import SafetensorError, safe_open

    _check_is_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            header = file.metadata()
        # Others write no header, or the format alone.
        facts = json.loads(header["json"]) if header and header.keys() != {"format"} else {}
        checksum = facts.pop(CHECKSUM, None)
    except (SafetensorError, ValueError, RuntimeError, KeyError, AttributeError) as error:
        raise Damaged(f"{path} is damaged ({error})") from error
    if checksum not in (None, _checksum(tensors, facts)):
        raise Damaged(f"{path} is damaged: its content does not have the checksum that was written with it")
    return tensors, facts


LONGEST_HEADER = 100_000_000  # bytes: the format's own limit


def header_of(path: Path) -> dict[str, Any]:
    """The dictionary of what `save_tensors` wrote, without reading the tensors; raises Damaged for another file.

    Read by hand, for `safetensors` imports numpy to open a file: eight bytes with the header's length, and its JSON.
    """
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, LONGEST_HEADER)))
        facts = json.loads(header["__metadata__"]["json"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{path} is no file of trained weights ({error})") from error
    facts.pop(CHECKSUM, None)
    return dict(facts)


def _checksum(tensors: Mapping[str, Tensor], facts: Any) -> str:
    """SHA-256 over names, types, shapes and bytes of the tensors, and the dictionary as JSON."""
    import torch

    digest = hashlib.sha256(json.dumps(json.loads(json.dumps(facts)), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_facts(path: Path, value: Any) -> Path:
    """Write a JSON-able value of the cache with its checksum, atomically."""
    return write_json(path, {"value": value, CHECKSUM: _checksum({}, value)})


def load_facts(path: Path) -> Any:
    """Read what `save_facts` wrote, or plain JSON of an older version. Raises Damaged as `load_tensors` does."""
    found = read_json(path)
    if not isinstance(found, dict) or found.keys() != {"value", CHECKSUM}:
        return found
    if found[CHECKSUM] != _checksum({}, found["value"]):
        raise Damaged(f"{path} is damaged: its content does not have the checksum that was written with it")
    return found["value"]


def set_aside(path: Path) -> Path:
    """Rename a damaged file of the cache, so that it is made anew; returns where it lies now."""
    return path.replace(path.with_name(f"{path.name}.damaged"))


def kept(
    path: Path, make: Callable[[Path], object], load: Callable[[Path], T], say: Callable[[str], object]
) -> T:
    """What `load` reads of a file of the cache, which `make` writes where it is missing or damaged."""
    if path.exists():
        try:
            return load(path)
        except Damaged as error:
            say_set_aside(path, error, say)
    make(path)
    return load(path)


def say_set_aside(path: Path, error: Damaged, say: Callable[[str], object]) -> None:
    """Set a damaged file aside, and say so."""
    say(f"{error}; it is kept as {set_aside(path).name} and made anew")
