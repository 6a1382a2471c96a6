"""Bins that follow the values of a map: counted block by block, divided where it matters, alike for any blocks.

The first bins are the leading 16 bits of a float64, which grow with the value: sixteen a power of two, so that one
value of 1e12 takes no bin from the others. A bin is divided by the bits that follow.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SpecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: the weight that a bin may hold, as a share of all
FINE = 2.0**-14
_SIGN = np.uint64(1 << 63)
_ROOT = 48
# bins that are few to divide at once
_FEW = 256


Path = tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]


@dataclass(frozen=True)
class Bins:
    """Where values are counted; `level` is how many trailing bits of the key a bin leaves open.

    `path` is how the bins were divided, from which others can make them anew.
    """

    slots: NDArray[Any]
    shift: NDArray[Any]
    offset: NDArray[Any]
    mask: NDArray[Any]
    low: NDArray[Any]
    level: NDArray[Any]
    home: NDArray[Any]
    path: Path = ()

    @classmethod
    def first(cls) -> Bins:
        """Sixteen bins a power of two."""
        number = np.arange(1 << 16, dtype=np.int32)
        low = number.astype(np.uint64) << np.uint64(_ROOT)
        level = np.full(number.size, _ROOT, np.uint8)
        shift, mask = np.array([_ROOT], np.uint64), np.array([0xFFFF], np.uint64)
        return cls(number, shift, np.zeros(1, np.int64), mask, low, level, number)

    @staticmethod
    @lru_cache(maxsize=2)
    def along(path: Path) -> Bins:
        """Make the bins of a path."""
        if not path:
            return Bins.first()
        which, bits = path[-1]
        return Bins.along(path[:-1]).divided(np.array(which, np.int64), np.array(bits, np.int64))

    def divided(self, which: NDArray[np.int64], bits: NDArray[np.int64]) -> Bins:
        """Divide some bins, each by so many more bits (or those that are left)."""
        slots, shift, offset, mask = [self.slots.copy()], [*self.shift], [*self.offset], [*self.mask]
        low, level, home = [self.low], [self.level], [self.home]
        size, bins = self.slots.size, self.low.size
        for b, wanted in zip(which.tolist(), bits.tolist(), strict=True):
            taken = min(wanted, int(self.level[b]))
            if taken <= 0:
                continue
            left = int(self.level[b]) - taken
            slots[0][self.home[b]] = -len(shift) - 1
            shift.append(np.uint64(left))
            offset.append(np.int64(size))
            mask.append(np.uint64((1 << taken) - 1))
            count = 1 << taken
            slots.append(np.arange(bins, bins + count, dtype=np.int32))
            low.append(self.low[b] + (np.arange(count, dtype=np.uint64) << np.uint64(left)))
            level.append(np.full(count, left, np.uint8))
            home.append(np.arange(size, size + count, dtype=np.int32))
            size += count
            bins += count
        parts = [np.concatenate(p) for p in (slots, low, level, home)]
        return Bins(
            parts[0],
            np.array(shift, np.uint64),
            np.array(offset, np.int64),
            np.array(mask, np.uint64),
            parts[1],
            parts[2],
            parts[3],
            (*self.path, (tuple(which.tolist()), tuple(bits.tolist()))),
        )

    @cached_property
    def frame(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the middle and the width of each bin; what lies beyond the finite numbers has none."""
        high = self.low + ((np.uint64(1) << self.level.astype(np.uint64)) - np.uint64(1))
        bottom, top = _value(self.low), _value(high)
        with np.errstate(invalid="ignore", over="ignore"):
            # halved first: a sum may overflow
            middle = np.nan_to_num(0.5 * bottom + 0.5 * top, posinf=0.0, neginf=0.0)
            width = np.nan_to_num(top - bottom, posinf=0.0)
        return middle, width

    def empty(self) -> Counts:
        """Give counts of nothing."""
        n = self.low.size
        return Counts(self, np.zeros((3, n), np.int64), np.full(n, np.inf), np.full(n, -np.inf))


@dataclass(frozen=True)
class Counts:
    """What was counted in each bin: integers and extremes alone, so that sums do not depend on their order."""

    bins: Bins
    sums: NDArray[np.int64]
    smallest: NDArray[np.float64]
    largest: NDArray[np.float64]

    def take(self, values: Any, weights: Any) -> None:
        """Count the finite values of a block, too; weights are best near one (they are kept to 2**-20)."""
        from nepcube.stats import _breaks

        # minus zero is zero
        v = np.ascontiguousarray(values, dtype=np.float64).ravel() + 0.0
        w = np.ascontiguousarray(np.broadcast_to(weights, np.shape(values)), dtype=np.float64).ravel()
        b = self.bins
        _breaks.count_into(
            v, _key(v), w, b.slots, b.shift, b.offset, b.mask, *b.frame, self.sums, self.smallest, self.largest
        )

    def __add__(self, other: Counts) -> Counts:
        if self.bins is not other.bins and not np.array_equal(self.bins.low, other.bins.low):
            raise SpecError("Counts of different bins cannot be added.", "Count both in the same bins.")
        return Counts(
            self.bins,
            self.sums + other.sums,
            np.minimum(self.smallest, other.smallest),
            np.maximum(self.largest, other.largest),
        )

    def packed(self) -> tuple[NDArray[Any], ...]:
        """Give what is not empty, to be sent and unpacked elsewhere."""
        some = np.flatnonzero(self.sums[0])
        return some, self.sums[:, some], self.smallest[some], self.largest[some]

    def unpack(self, some: NDArray[Any], sums: NDArray[Any], smallest: NDArray[Any], largest: NDArray[Any]) -> None:
        """Add what was counted elsewhere in the same bins."""
        self.sums[:, some] += sums
        self.smallest[some] = np.minimum(self.smallest[some], smallest)
        self.largest[some] = np.maximum(self.largest[some], largest)

    def full(self) -> Full:
        """Give the bins that hold something, from the lowest."""
        some = np.flatnonzero(self.sums[0])
        some = some[np.argsort(self.bins.low[some], kind="stable")]
        middle, width = (a[some] for a in self.bins.frame)
        weight = self.sums[0, some].astype(np.float64)
        shift = self.sums[1, some] / weight
        single = self.smallest[some] == self.largest[some]
        centre = np.clip(middle + shift * width, self.smallest[some], self.largest[some])
        # a power of two, so that no square overflows or is lost
        most = float(np.max(np.maximum(np.abs(self.smallest[some]), np.abs(self.largest[some])), initial=0.0))
        unit = 2.0 ** -float(np.clip(np.floor(np.log2(most)), -1000, 1000)) if most > 0.0 else 1.0
        spread = np.where(single, 0.0, np.maximum(self.sums[2, some] / weight - shift * shift, 0.0))
        return Full(
            some,
            self.sums[0, some],
            weight,
            centre,
            weight * spread * (width * unit) ** 2,
            self.smallest[some],
            self.largest[some],
            unit,
        )


@dataclass(frozen=True)
class Full:
    """The bins that hold something: their number, weight, mean, sum of squares within, and both ends.

    Squares are of values times `unit`, which brings the largest near one.
    """

    number: NDArray[np.int64]
    units: NDArray[np.int64]
    weight: NDArray[np.float64]
    centre: NDArray[np.float64]
    within: NDArray[np.float64]
    smallest: NDArray[np.float64]
    largest: NDArray[np.float64]
    unit: float

    def squares(self, starts: Any) -> tuple[float, NDArray[np.float64]]:
        """Give the sum of squares (in units) within the classes that start at these bins, and the classes' means."""
        total, means = 0.0, []
        edges = [*(int(s) for s in starts), self.weight.size]
        for a, b in itertools.pairwise(edges):
            if a == b:
                means.append(float("nan"))
                continue
            w, c = self.weight[a:b], self.centre[a:b]
            mean = float(c[0] + np.sum(w * (c - c[0])) / w.sum())
            total += float(np.sum(w * ((c - mean) * self.unit) ** 2) + self.within[a:b].sum())
            means.append(mean)
        return total, np.array(means)


def settle(
    count: Callable[[Bins], Counts], unsettled: Callable[[Full], NDArray[np.int64]], start: Counts | None = None
) -> Counts:
    """Count again, with those bins divided that are named as unsettled, until none is that can be divided.

    A bin of one value alone is never divided; the bits of a float64 end after a few rounds.
    """
    counts = count(Bins.first()) if start is None else start
    while True:
        full = counts.full()
        which = np.unique(unsettled(full))
        which = which[(full.largest[which] > full.smallest[which])]
        if not which.size:
            return counts
        share = full.weight[which] / full.weight.sum()
        # each count reads the map again, so that a few are divided finely; of many, most parts would be empty
        least = 6 if which.size <= _FEW else 3
        bits = np.clip(np.ceil(np.log2(np.maximum(share / FINE, 1.0))) + 1, least, 12).astype(np.int64)
        counts = count(counts.bins.divided(full.number[which], bits))


def heavy(full: Full) -> NDArray[np.int64]:
    """Name the bins that hold more than their share."""
    return np.flatnonzero(full.weight > FINE * full.weight.sum())


def _key(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    bits = values.view(np.uint64)
    out: NDArray[np.uint64] = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return out


def _value(keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    out: NDArray[np.float64] = np.where(keys & _SIGN, keys ^ _SIGN, ~keys).view(np.float64)
    return out
