"""Independent pieces of work by processes of this machine (joblib) or by a cluster (Dask).

The cluster is not joblib's Dask backend, which is as fast: that counts the workers once, gives up after 10 seconds
without one, and sends the data set with every piece or keeps its only copy on workers that may be lost.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import cloudpickle

from sf2f_bench.progress import Reporter
from sf2f_bench.registry import plugin_faults
from sf2f_bench.types import BenchError

Piece = TypeVar("Piece")
Result = TypeVar("Result")

CONNECT_SECONDS = 10
RETRIES = 2  # of a piece that raises; a lost worker's pieces are repeated anyway
WATCH_SECONDS = 0.5
GO_ON = "give the same command again: finished work is kept"


def on_this_machine(work: Callable[[Piece], Result], pieces: Sequence[Piece], jobs: int) -> Iterator[Result]:
    """Results of `work` in the order of finishing, by `jobs` processes of one thread each, which end with this one.

    Raises BenchError where a process ends before its work does.
    """
    from joblib import Parallel, delayed, parallel_config

    with (
        tempfile.TemporaryDirectory(prefix="sf2f-bench-") as folder,
        parallel_config(backend="loky", n_jobs=min(jobs, len(pieces)), inner_max_num_threads=1),
    ):
        # Once, in a file: with every piece a data set of thousands of people would take longer than the work.
        file = Path(folder) / "work.pickle"
        file.write_bytes(cloudpickle.dumps(work))
        tasks = (delayed(_work_pickled)(file, piece, os.getpid()) for piece in pieces)
        try:
            yield from Parallel(return_as="generator_unordered")(tasks)
        except BrokenProcessPool as error:
            raise BenchError(
                f"one of {jobs} worker processes crashed or was ended, most often because memory ran out: "
                f"{GO_ON}, perhaps with fewer --jobs"
            ) from error


def _work_pickled(file: Path, piece: Any, parent: int) -> Any:
    if parent != os.getpid():  # with one job the work is done in the process itself
        _end_with(parent)
    with plugin_faults():  # here, because a traceback does not travel
        return _unpickled(file)(piece)


@lru_cache(maxsize=1)
def _end_with(parent: int) -> None:
    """End this worker soon after the process that it works for, however that ends."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@lru_cache(maxsize=1)
def _unpickled(file: Path) -> Callable[[Any], Any]:
    return cloudpickle.loads(file.read_bytes())


def on_cluster(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], address: str, reporter: Reporter
) -> Iterator[Result]:
    """Results of `work` in the order of finishing, by the workers of the Dask scheduler at `address`.

    A piece whose worker is lost is given to another one, so a piece may be done twice. Raises BenchError
    without the extra `cluster`, without a scheduler, and where a piece ends every worker.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError as error:
        raise BenchError(
            "--scheduler needs Dask, which is not installed: here and on every worker, "
            "pip install 'sf2f-bench[cluster]'"
        ) from error
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    # Also a TLS address without certificates, and somebody else's answer, read as a huge message.
    except (OSError, ValueError, TypeError, MemoryError) as error:
        reason = (
            error
            if isinstance(error, OSError | ValueError)
            else "no encryption is set up, or no Dask is there"
        )
        raise BenchError(
            f"no Dask scheduler answers at {address!r} within {CONNECT_SECONDS} s: expected the address that "
            f"`dask scheduler` prints, such as tcp://10.0.0.1:8786 ({reason})"
        ) from error
    with client:
        count = len(client.scheduler_info(n_workers=-1)["workers"])
        reporter.say(f"{count} workers at {address}" + ("" if count else ": waiting for the first"))
        # A task rather than scattered data: when every worker that has its result is lost, it is repeated.
        shared = client.submit(_itself, work, pure=False)
        futures = client.map(_work_shared, pieces, work=shared, pure=False, retries=RETRIES)
        try:
            for future in as_completed(futures, loop=client.loop):
                yield future.result()
        except KilledWorker as error:
            raise BenchError(
                f"a piece of work ends every worker that it is given to ({error}): {GO_ON}"
            ) from error
        except CancelledError as error:
            raise BenchError(f"the Dask scheduler at {address} is lost ({error}): {GO_ON}") from error


def _itself(work: Any) -> Any:
    return work


def _work_shared(piece: Any, work: Callable[[Any], Any]) -> Any:
    with plugin_faults():
        return work(piece)
