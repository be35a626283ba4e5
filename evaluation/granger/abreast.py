"""Some items at a time, in threads of their own, with the results in the items' order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

Item, Made = TypeVar("Item"), TypeVar("Made")


def abreast(function: Callable[[Item], Made], items: Iterable[Item], threads: int) -> Iterator[Made]:
    """`function` of each item, in order; at most `threads` at a time and one result more in memory.

    Matrix products take one thread each meanwhile: two of them side by side finish sooner than one after the other on
    two threads, and no bit depends on how many threads there are.
    """
    with threadpool_limits(1), ThreadPoolExecutor(max(1, threads)) as pool:
        waiting: deque = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
