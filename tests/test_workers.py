"""Spreading work: the same results in the same order, a few pieces ahead, and a plain word when a worker dies."""

import time

import pytest
from distributed import LocalCluster
from pydantic import ValidationError

from pieces_of_work import die, die_once, refuse, refuse_or_touch, square
from voxbench.config import Parallel
from voxbench.schema import InputError
from voxbench.workers import AHEAD, spread

PIECES = 40


def settings(workers=1, **changes):
    return Parallel(**({"backend": "loky", "scheduler": None, "workers": workers, "rows_per_shard": 8} | changes))


def numbers(count=PIECES, taken=None):
    for number in range(count):
        if taken is not None:
            taken.append(number)
        yield (number,)


@pytest.fixture(scope="module")
def cluster():
    """Return a Dask cluster of two processes on this machine."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as running:
        yield running


@pytest.fixture(params=["one", "two", "dask"])
def parallel(request):
    if request.param == "dask":
        address = request.getfixturevalue("cluster").scheduler_address
        return settings(backend="dask", scheduler=address)
    return settings({"one": 1, "two": 2}[request.param])


def test_results_come_in_order(parallel):
    assert list(spread(square, numbers(), parallel)) == [number * number for number in range(PIECES)]
    assert list(spread(square, iter(()), parallel)) == []


def test_work_is_read_only_a_little_ahead_of_results(parallel):
    taken = []
    results = spread(square, numbers(taken=taken), parallel)
    next(results)
    time.sleep(0.2)
    assert len(taken) <= 2 * AHEAD
    assert len(list(results)) == PIECES - 1


def test_an_error_of_a_piece_reaches_the_caller(parallel):
    with pytest.raises(InputError, match="piece 5 is bad"):
        list(spread(refuse, numbers(), parallel))


def test_nobody_goes_on_after_an_error_is_told(tmp_path):
    with pytest.raises(InputError, match="piece 5 is bad"):
        list(spread(refuse_or_touch, ((number, str(tmp_path)) for number in range(PIECES)), settings(2)))
    done = sorted(path.name for path in tmp_path.iterdir())
    time.sleep(0.3)
    assert sorted(path.name for path in tmp_path.iterdir()) == done
    assert len(done) < PIECES - 1


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_source_reaches_the_caller(workers):
    def broken():
        yield from numbers(12)
        raise InputError("the source broke")

    with pytest.raises(InputError, match="the source broke"):
        list(spread(square, broken(), settings(workers)))


def test_a_killed_worker_is_one_plain_line():
    with pytest.raises(InputError, match=r"a worker process was killed.*finished shards are kept") as refused:
        list(spread(die, numbers(), settings(2)))
    assert "parallel.workers than 2" in str(refused.value)


@pytest.mark.slow
def test_what_a_killed_dask_worker_had_in_hand_is_done_by_another(tmp_path):
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        parallel = settings(backend="dask", scheduler=cluster.scheduler_address)
        work = ((number, str(tmp_path / "killed")) for number in range(PIECES))
        results = list(spread(die_once, work, parallel))
    assert [number for number, _ in results] == list(range(PIECES))
    assert (tmp_path / "killed").exists()


@pytest.mark.slow
def test_a_piece_that_kills_every_dask_worker_is_one_plain_line():
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        parallel = settings(backend="dask", scheduler=cluster.scheduler_address)
        with pytest.raises(InputError, match="a worker process was killed"):
            list(spread(die, numbers(), parallel))


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr("voxbench.workers.GIVE_UP_SECONDS", 1)
    with pytest.raises(InputError, match=r"'tcp://127.0.0.1:9': no Dask cluster answers there"):
        list(spread(square, numbers(), settings(backend="dask", scheduler="tcp://127.0.0.1:9")))


@pytest.mark.parametrize(("backend", "scheduler"), [("dask", None), ("loky", "tcp://127.0.0.1:8786")])
def test_a_backend_and_its_scheduler_belong_together(backend, scheduler):
    with pytest.raises(ValidationError, match="dask needs the address of a scheduler, and loky has none"):
        settings(backend=backend, scheduler=scheduler)
