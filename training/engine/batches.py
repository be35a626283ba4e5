"""The micro batches of one process; while a GPU computes, a thread makes the next one."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from dyads.seeding import torch_generator

Position = tuple[int, int, int]  # step, micro batch, rank


class Batches:
    """Batches by position, on the device.

    Args:
        make: the batch of a position, from a generator of its own.
        address: (seed, stage).
        positions: every position to come, in order.
        device: where the tensors go.
        ahead: make one batch in advance in a thread; positions decide the content, so this changes nothing.
    """

    def __init__(
        self,
        make: Callable[[Position, torch.Generator], dict[str, Any]],
        address: tuple[int, str],
        positions: Iterator[Position],
        device: torch.device,
        ahead: bool,
    ) -> None:
        self.make, self.address, self.positions, self.device = make, address, positions, device
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="batches") if ahead else None
        self.coming: Future | None = None
        if self.pool:
            self._order()

    def next(self) -> tuple[Position, dict[str, Any]]:
        """The next position and its batch, tensors on the device."""
        if self.pool:
            position, batch = self.coming.result()
            self._order()
        else:
            position, batch = self._made(next(self.positions))
        moved = {key: self._move(value) if isinstance(value, Tensor) else value for key, value in batch.items()}
        return position, moved

    def close(self) -> None:
        """Stop the thread."""
        if self.pool:
            self.pool.shutdown(wait=True, cancel_futures=True)

    def _order(self) -> None:
        position = next(self.positions, None)
        self.coming = None if position is None else self.pool.submit(self._made, position)

    def _made(self, position: Position) -> tuple[Position, dict[str, Any]]:
        seed, stage = self.address
        batch = self.make(position, torch_generator(seed, stage, "batch", *position))
        if self.device.type == "cuda":  # page-locked memory is copied while the GPU computes
            batch = {k: v.pin_memory() if isinstance(v, Tensor) else v for k, v in batch.items()}
        return position, batch

    def _move(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)
