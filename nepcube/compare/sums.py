"""Area-weighted sums over two maps by region: exact, mergeable, the same however the maps are cut.

Sums are those of `nepcube.regions`, in fixed point. Values and areas are first divided by powers of two, which changes
no digit, so that small numbers keep their digits beside large ones and the largest sum fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.regions import ClassSums, Members, YearSums

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: the code of what has no class, in maps of classes
NO_CLASS = 255
# a code that no class has: other classes of A than the one that is counted
_OTHER = 254
# the fixed point holds sums below 2**43; one bit is left for the largest value itself
_SUM_BITS = 42
_A, _B, _DIFFERENCE, _SQUARE, _ONLY_A, _ONLY_B = range(6)


def power_above(value: float) -> float:
    """Give a power of two that is not below a value; 1 where there is none above zero."""
    return 2.0 ** math.ceil(math.log2(value)) if value > 0 else 1.0


def area_scale(largest: float, cells: int) -> float:
    """Give the power of two that areas are multiplied with before they are summed.

    Parameters
    ----------
    largest : float
        The area of the largest cell, km2.
    cells : int
        How many cells there are.
    """
    return 2.0**_SUM_BITS / power_above(largest * cells)


@dataclass(frozen=True)
class Means:
    """What two maps are in some regions, area-weighted over the cells where both have a value.

    Means and differences are in the unit of the maps, areas in km2.
    """

    mean_a: float
    mean_b: float
    mean_difference: float
    rms_difference: float
    max_abs_difference: float
    area: float
    area_only_a: float
    area_only_b: float


@dataclass(frozen=True)
class PairSums:
    """Sums of two maps by region; `scales` are those of the values, of their difference, and of areas."""

    sums: YearSums
    largest: NDArray[np.float64]
    scales: tuple[float, float, float]

    @classmethod
    def of(cls, a: Any, b: Any, labels: Any, areas: Any, regions: int, scales: tuple[float, float, float]) -> PairSums:
        """Sum one block.

        Parameters
        ----------
        a, b : numpy.ndarray
            Two maps (y, x) in one unit, NaN where there is no value.
        labels : numpy.ndarray
            The region of each cell; 0 is outside.
        areas : numpy.ndarray
            Cell areas (y,) or (y, x), km2.
        regions : int
            How many regions there are.
        scales : tuple of float
            Powers of two: not below the largest absolute value, not below the largest absolute difference, and what
            `area_scale` gives.
        """
        by_value, by_difference, by_area = scales
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        has_a, has_b = ~np.isnan(a), ~np.isnan(b)
        both = has_a & has_b
        # NaN where one of them is
        difference = b - a
        layers = np.full((6, *a.shape), np.nan)
        layers[_A] = np.where(both, a / by_value, np.nan)
        layers[_B] = np.where(both, b / by_value, np.nan)
        layers[_DIFFERENCE] = difference / by_difference
        layers[_SQUARE] = layers[_DIFFERENCE] ** 2
        layers[_ONLY_A][has_a & ~has_b] = 0.0
        layers[_ONLY_B][has_b & ~has_a] = 0.0
        every = np.ones(a.shape, np.bool_)
        sums = YearSums.of(layers, Members.of_labels(labels), np.asarray(areas, np.float64) * by_area, every)
        largest = np.full(regions + 1, -np.inf)
        np.maximum.at(largest, np.asarray(labels)[both], np.abs(difference[both]))
        return cls(sums, largest, scales)

    def __add__(self, other: PairSums) -> PairSums:
        return PairSums(self.sums + other.sums, np.maximum(self.largest, other.largest), self.scales)

    def over(self, members: NDArray[np.int64]) -> Means:
        """Merge some regions."""
        by_value, by_difference, by_area = self.scales
        _, areas, totals = self.sums.over(members)
        area, total = areas[0] / by_area, totals[0] / by_area
        whole, largest = float(area[_DIFFERENCE]), float(self.largest[members].max())
        return Means(
            mean_a=_over(total[_A], whole) * by_value,
            mean_b=_over(total[_B], whole) * by_value,
            mean_difference=_over(total[_DIFFERENCE], whole) * by_difference,
            rms_difference=math.sqrt(_over(total[_SQUARE], whole)) * by_difference,
            max_abs_difference=largest if whole > 0 else math.nan,
            area=whole,
            area_only_a=float(area[_ONLY_A]),
            area_only_b=float(area[_ONLY_B]),
        )


@dataclass(frozen=True)
class YearPairSums:
    """Sums of one year of two cubes by region, over the cells where both have a value."""

    sums: YearSums
    by_area: float

    @classmethod
    def of(cls, a: Any, b: Any, labels: Any, areas: Any, counts: Any, by_area: float) -> YearPairSums:
        """Sum one block of one year: values and counts (y, x), areas (y,) or (y, x) in km2."""
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        difference = b - a
        both = ~np.isnan(difference)
        layers = np.stack([np.where(both, a, np.nan), np.where(both, b, np.nan), difference])
        members = Members.of_labels(labels)
        return cls(YearSums.of(layers, members, np.asarray(areas, np.float64) * by_area, counts), by_area)

    def __add__(self, other: YearPairSums) -> YearPairSums:
        return YearPairSums(self.sums + other.sums, self.by_area)

    def over(self, members: NDArray[np.int64]) -> tuple[float, float, float]:
        """Merge some regions: the means of A and of B, and the mean of B minus A."""
        _, areas, totals = self.sums.over(members)
        mean_a, mean_b, difference = (_over(total, areas[0][0]) for total in totals[0])
        return mean_a, mean_b, difference


@dataclass(frozen=True)
class ChangeSums:
    """Areas by (region, class of A, class of B)."""

    classes: tuple[int, ...]
    areas: tuple[ClassSums, ...]

    @classmethod
    def of(cls, a: Any, b: Any, labels: Any, areas: Any, classes: Sequence[int]) -> ChangeSums:
        """Sum one block: maps of codes uint8 (y, x), 255 where there is no class; `classes` are those of A."""
        a, b = np.asarray(a), np.asarray(b)
        every = (*classes, NO_CLASS)
        members = Members.of_labels(labels)
        of_each = (ClassSums.of(np.where(a == k, b, np.uint8(_OTHER)), members, areas) for k in every)
        return cls(every, tuple(of_each))

    def __add__(self, other: ChangeSums) -> ChangeSums:
        return ChangeSums(self.classes, tuple(p + q for p, q in zip(self.areas, other.areas, strict=True)))

    def over(self, members: NDArray[np.int64]) -> dict[int, NDArray[np.float64]]:
        """Merge some regions: for each class of A the areas of the 256 codes of B, km2."""
        return {k: area.over(members) for k, area in zip(self.classes, self.areas, strict=True)}


@dataclass(frozen=True)
class SignSums:
    """Areas by region where two maps have one sign, and where they have two; exact zero is a sign of its own."""

    area: ClassSums

    @classmethod
    def of(cls, a: Any, b: Any, labels: Any, areas: Any) -> SignSums:
        """Sum one block of two maps (y, x), areas (y,) or (y, x) in km2."""
        a, b = np.asarray(a), np.asarray(b)
        codes = (np.sign(a) != np.sign(b)).astype(np.uint8)
        codes[np.isnan(a) | np.isnan(b)] = NO_CLASS
        return cls(ClassSums.of(codes, Members.of_labels(labels), areas))

    def __add__(self, other: SignSums) -> SignSums:
        return SignSums(self.area + other.area)

    def over(self, members: NDArray[np.int64]) -> tuple[float, float]:
        """Merge some regions: the area where both have a value, and that where their signs differ, km2."""
        both, differs = self.area.over_each([members], [[0, 1], [1]])[0]
        return float(both), float(differs)


def _over(total: float, area: float) -> float:
    return float(total / area) if area > 0 else math.nan
