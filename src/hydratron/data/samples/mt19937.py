"""The Mersenne Twister streams of C++'s `std::mt19937` and `std::mt19937_64` as arrays.

Numpy has the 32-bit generator only.  The 64-bit one follows Nishimura and Matsumoto (2004).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SIZE, MIDDLE = 312, 156
UPPER = np.uint64(0xFFFFFFFF80000000)
LOWER = np.uint64(0x7FFFFFFF)
MATRIX = np.uint64(0xB5026F5AA96619E9)
ONE = np.uint64(1)
SEED_FACTOR = 6364136223846793005
LARGEST = (1 << 64) - 1


class MT19937:
    """32-bit outputs of `std::mt19937(seed)`; a seed counts modulo 2^32."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.RandomState(seed % (1 << 32))

    def take(self, count: int) -> npt.NDArray[np.uint32]:
        """The next `count` outputs."""
        return self._generator.randint(0, 1 << 32, count, dtype=np.uint32)


class MT19937_64:
    """64-bit outputs of `std::mt19937_64(seed)`; a seed counts modulo 2^64."""

    def __init__(self, seed: int) -> None:
        state = [seed & LARGEST]
        for i in range(1, SIZE):
            last = state[-1]
            state.append((SEED_FACTOR * (last ^ (last >> 62)) + i) & LARGEST)
        self._state = np.array(state, np.uint64)
        self._left = np.empty(0, np.uint64)

    def take(self, count: int) -> npt.NDArray[np.uint64]:
        """The next `count` outputs."""
        blocks = [self._left]
        for _ in range(-(-(count - self._left.size) // SIZE)):
            self._advance()
            blocks.append(self._state.copy())
        outputs = np.concatenate(blocks)
        # What is left over is kept untempered.
        outputs, self._left = outputs[:count], outputs[count:]
        return _temper(outputs)

    def _advance(self) -> None:
        """The next 312 values; each half needs only values that are known before it."""
        state = self._state
        state[:MIDDLE] = state[MIDDLE:] ^ _mixed(state[:MIDDLE], state[1 : MIDDLE + 1])
        after = np.append(state[MIDDLE + 1 :], state[0])
        state[MIDDLE:] = state[:MIDDLE] ^ _mixed(state[MIDDLE:], after)


def _mixed(values: npt.NDArray[np.uint64], after: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    both = (values & UPPER) | (after & LOWER)
    return (both >> ONE) ^ ((both & ONE) * MATRIX)


def _temper(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    x = x ^ ((x >> np.uint64(29)) & np.uint64(0x5555555555555555))
    x = x ^ ((x << np.uint64(17)) & np.uint64(0x71D67FFFEDA60000))
    x = x ^ ((x << np.uint64(37)) & np.uint64(0xFFF7EEE000000000))
    return x ^ (x >> np.uint64(43))
