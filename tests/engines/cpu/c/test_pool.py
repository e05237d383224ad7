"""The threads that kernels run on: all take part, they meet, and they cost nothing when idle."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any

import pytest
import torch

from cello.engines.cpu.library import join, openmp_of_torch
from cello.engines.cpu.toolchain.build import build
from tests.engines.cpu.conftest import in_fork
from tests.patience import until

WORK = """
enum { MEETINGS = 200, MOST = 8 };

typedef struct {
    struct { _Alignas(128) long value; } at[MOST];
    _Atomic long ran, wrong;
} Meeting;

/* Each thread says where it is and looks, between two barriers, where the others are. */
static void meet(void *argument, int thread, int threads) {
    Meeting *meeting = argument;
    meeting->ran++;
    for (long i = 1; i <= MEETINGS; i++) {
        meeting->at[thread].value = i;
        cello_barrier();
        for (int other = 0; other < threads; other++)
            if (meeting->at[other].value != i) meeting->wrong++;
        cello_barrier();
    }
}

/* The last thread has a meeting of its own, to whose barriers the others do not come. */
static void run_within(void *argument, int thread, int threads) {
    Meeting *meeting = argument;
    if (thread == threads - 1 && cello_pool_run(meet, meeting, threads) != 1) meeting->wrong++;
    cello_barrier();
}

/* How many threads there were, or -1 if they did not meet. */
int meeting(int threads) {
    Meeting meeting = {0};
    const int came = cello_pool_run(meet, &meeting, threads);
    return meeting.wrong || meeting.ran != came ? -1 : came;
}

int meeting_within(int threads) {
    Meeting meeting = {0};
    const int came = cello_pool_run(run_within, &meeting, threads);
    return meeting.wrong || meeting.ran != 1 ? -1 : came;
}

static void throw_away(void *argument, int thread, int threads) {
    volatile double smallest = 2.2250738585072014e-308;
    if (thread == threads - 1) *(double *)argument = smallest / 4;
}

double quarter_of_the_smallest(int threads) {
    double result = 1;
    cello_pool_run(throw_away, &result, threads);
    return result;
}
"""


@pytest.fixture(scope="module", params=["own", "openmp"])
def pool(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The pool with threads of its own, and with those of the OpenMP that PyTorch uses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CELLO_CACHE", str(tmp_path_factory.getbasetemp() / "pool"))
        source = files("cello.engines.cpu.c").joinpath("pool.c").read_text(encoding="utf-8")
        library = build(f"test-pool-{request.param}", source + WORK)
        library.quarter_of_the_smallest.restype = ctypes.c_double
        if request.param == "openmp":
            openmp = openmp_of_torch()
            if openmp is None:
                pytest.skip("this PyTorch does not use GNU's OpenMP")
            join(library, openmp)
        yield library


def test_threads_of_openmp_are_those_of_pytorch():
    if torch.backends.openmp.is_available() and sys.platform == "linux":
        assert openmp_of_torch() is not None


@pytest.mark.parametrize("threads", [2, 1, 5, 3])
def test_all_threads_run_and_meet_at_every_barrier(pool: Any, threads: int):
    for _ in range(5):
        assert pool.meeting(threads) == threads


def test_threads_that_sleep_are_woken(pool: Any):
    for _ in range(20):
        time.sleep(0.002)
        assert pool.meeting(3) == 3


def test_who_finds_the_pool_taken_runs_alone(pool: Any):
    with ThreadPoolExecutor(4) as callers:
        came = list(callers.map(pool.meeting, [2, 3] * 50))
    assert set(came) <= {1, 2, 3}
    assert pool.meeting(2) == 2


def test_a_run_within_a_run_has_one_thread(pool: Any):
    assert pool.meeting_within(3) == 3
    assert pool.meeting(3) == 3


def test_the_child_of_a_fork_has_threads_of_its_own(pool: Any):
    assert pool.meeting(3) == 3
    for _ in range(3):
        assert in_fork(lambda: [pool.meeting(n) for n in (2, 3)]) == "[2, 3]"
    assert pool.meeting(3) == 3


def test_idle_threads_use_no_processor(pool: Any):
    assert pool.meeting(3) == 3

    def idle() -> bool:
        before = time.process_time()
        time.sleep(0.2)
        return time.process_time() - before < 0.002

    until(idle)  # at first they look out for more work


def test_threads_treat_the_smallest_numbers_as_their_caller_does(pool: Any):
    assert pool.quarter_of_the_smallest(2) > 0
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor always keeps them")
    try:
        flushed = [pool.quarter_of_the_smallest(threads) for threads in (1, 2)]
    finally:
        torch.set_flush_denormal(False)  # or they would be equal to 0 here
    assert flushed == [0, 0]
    assert pool.quarter_of_the_smallest(2) > 0
