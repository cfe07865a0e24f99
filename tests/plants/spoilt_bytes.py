"""Good bytes spoilt at random from a seed, for as long as is wanted and in bounded memory. Not what they are, nor what must follow."""

import gc
import logging
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def spoilt(good: bytes, chance: random.Random, most: int = 5) -> bytes:
    """`good` with one to `most` changes at any place, or noise, or now and then as it was."""
    raw = bytearray(good)
    if chance.random() < 0.05:
        return chance.randbytes(chance.randrange(2 * len(good) + 2))
    for _ in range(chance.randrange(1, most + 1)):
        at, length = chance.randrange(len(raw) + 1), chance.choice((1, 1, 1, 2, 4, 8, 30, 200))
        match chance.randrange(7):
            case 0 if at < len(raw):
                raw[at] ^= chance.randrange(256)
            case 1 if at < len(raw):
                raw[at] ^= 1 << chance.randrange(8)
            case 2:
                del raw[at:]
            case 3:
                del raw[at : at + length]
            case 4:
                raw[at:at] = raw[at : at + length]
            case 5:
                raw[at:at] = chance.randbytes(chance.randrange(1, 12))
            case _:
                raw[at : at + length] = bytes(len(raw[at : at + length]))
    return bytes(raw)


def tried(one: Callable[[random.Random], object], seconds: float, seed: int) -> int:
    """Does `one` with fresh chances until the time is over: how often. An error names the seed and the number of the input."""
    chance, end_s, count = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < end_s:
        try:
            one(chance)
        except Exception as error:
            raise AssertionError(f"seed {seed}, input {count}: {error!r}") from error
        count += 1
    return count


@contextmanager
def bounded(kept: int = 5_000_000, peak: int = 64_000_000) -> Iterator[None]:
    """At the end no more than `kept` bytes more are in use than before, and never were more than `peak`.

    One block does not count: Python's table of interned strings may grow meanwhile, by 8 MB after thousands of other tests.
    """
    tracemalloc.start()
    logging.disable()  # pytest keeps every record
    try:
        yield
        gc.collect()
        now, most = tracemalloc.get_traced_memory()
        now -= max((trace.size for trace in tracemalloc.take_snapshot().traces), default=0)
    finally:
        logging.disable(logging.NOTSET)
        tracemalloc.stop()
    assert now < kept, f"expected at most {kept} bytes to stay, saw {now}"
    assert most < peak, f"expected at most {peak} bytes at any time, saw {most}"
