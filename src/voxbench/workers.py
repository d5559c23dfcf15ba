"""Work spread over processes, of this machine or of a Dask cluster; the number of them changes no result.

On a cluster every worker needs this package, and the project folder under the same path.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from voxbench.config import Parallel
from voxbench.schema import InputError

Result = TypeVar("Result")

AHEAD = 2
"""Pieces of work in hand for each worker: none waits, and memory does not grow with the work."""
GIVE_UP_SECONDS = 30
IDLE_SECONDS = 60
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
KEEP_FREED_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "-1",
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}
"""Freed memory stays in the process instead of going back to the kernel at every turn: glibc reads these when a process
starts. Numbers do not change; CNN steps on a CPU become up to three times faster, preparation a tenth."""
KILLED = (
    "a worker process was killed, most often because memory ran out; finished shards are kept: run the command again, "
    "if need be with {} or a smaller parallel.rows_per_shard"
)


def spread(function: Callable[..., Result], pieces: Iterable[tuple[Any, ...]], parallel: Parallel) -> Iterator[Result]:
    """Yield `function(*piece)` for each piece, in order, however many workers share them.

    `pieces` is read as results are taken. Raises InputError for a cluster that does not answer or has no workers, and
    when a worker died of anything but an exception (out of memory, killed), which says that finished work is kept.
    """
    if parallel.backend == "loky" and parallel.workers == 1:
        yield from (function(*piece) for piece in pieces)
        return
    with (_cluster if parallel.backend == "dask" else _processes)(parallel) as (executor, workers):
        yield from _in_order(executor, workers, function, pieces)


def _in_order(
    executor: Executor, workers: Callable[[], int], function: Callable[..., Result], pieces: Iterable[tuple[Any, ...]]
) -> Iterator[Result]:
    in_hand: deque[Future[Result]] = deque()
    try:
        for piece in pieces:
            in_hand.append(executor.submit(function, *piece))
            if len(in_hand) >= AHEAD * workers():
                yield in_hand.popleft().result()
        while in_hand:
            yield in_hand.popleft().result()
    finally:
        # Nobody goes on writing after the caller has been told of an error; what was not begun need not be awaited.
        wait([future for future in in_hand if not future.cancel()])


@contextmanager
def _processes(parallel: Parallel) -> Iterator[tuple[Executor, Callable[[], int]]]:
    """Yield processes of this machine and how many they are."""
    try:
        yield _pool(parallel.workers), lambda: parallel.workers
    except TerminatedWorkerError as error:
        _pool.cache_clear()
        raise InputError(KILLED.format(f"fewer parallel.workers than {parallel.workers}")) from error


@cache
def _pool(workers: int) -> Executor:
    """Return processes that stay for the next work, for starting them costs seconds, and leave when there is none."""
    pool: Executor = ProcessPoolExecutor(workers, timeout=IDLE_SECONDS, env=ONE_THREAD | KEEP_FREED_MEMORY)
    return pool


@contextmanager
def _cluster(parallel: Parallel) -> Iterator[tuple[Executor, Callable[[], int]]]:
    """Yield the workers of a Dask cluster, and how many tasks they can run at once by now."""
    # Imported where it is used: a second, and no part of a run on one machine.
    from distributed import Client, KilledWorker

    try:
        client = Client(parallel.scheduler, timeout=GIVE_UP_SECONDS)
        client.wait_for_workers(1, timeout=GIVE_UP_SECONDS)
    except (OSError, ValueError) as error:
        raise InputError(
            f"parallel.scheduler {parallel.scheduler!r}: no Dask cluster answers there ({error}); start one with "
            "`dask scheduler` and `dask worker ADDRESS`, or set parallel.backend to loky and scheduler to null"
        ) from error
    with client:
        try:
            yield client.get_executor(), lambda: max(1, sum(client.ncores().values()))
        except KilledWorker as error:
            raise InputError(KILLED.format("more memory for each worker")) from error
