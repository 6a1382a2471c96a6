"""Kernels of natural breaks: counting into bins and the Fisher-Jenks optimum. numpy and numba only."""

from __future__ import annotations

from typing import Any

import numpy as np

from nepcube.compiling import compiled

#: fixed points of weights and of weighted offsets within a bin
WEIGHT_POINT = float(1 << 20)


@compiled
def histogram(values: Any, weights: Any, low: float, high: float, bins: int) -> Any:
    """Sum weights, weighted offsets (in widths from a bin's middle) and take the least value, for each bin."""
    counted = np.zeros(bins, np.int64)
    moment = np.zeros(bins, np.int64)
    smallest = np.full(bins, np.inf)
    scale = bins / (high - low) if high > low else 0.0
    for i in range(values.size):
        v = values[i]
        w = weights[i]
        if not np.isfinite(v) or not (w > 0.0):
            continue
        at = (v - low) * scale
        b = int(at)
        if b < 0:
            b = 0
        elif b > bins - 1:
            b = bins - 1
        counted[b] += np.int64(np.rint(w * WEIGHT_POINT))
        moment[b] += np.int64(np.rint(w * (at - b - 0.5) * WEIGHT_POINT))
        if v < smallest[b]:
            smallest[b] = v
    return counted, moment, smallest


@compiled
def _cost(w: Any, s: Any, q: Any, i: int, j: int) -> float:
    # within sum of squares of items i..j, from prefix sums of the centred values
    weight = w[j + 1] - w[i]
    if weight <= 0.0:
        return 0.0
    total = s[j + 1] - s[i]
    return max(q[j + 1] - q[i] - total * total / weight, 0.0)


@compiled
def _row(previous: Any, current: Any, choice: Any, w: Any, s: Any, q: Any, first: int) -> None:
    # the best start of the last class moves only forward with the end, so halves are solved within bounds
    n = current.size
    stack = np.empty((4 * 64, 4), np.int64)
    top = 0
    stack[0, 0] = first
    stack[0, 1] = n - 1
    stack[0, 2] = first
    stack[0, 3] = n - 1
    top = 1
    while top > 0:
        top -= 1
        lo = stack[top, 0]
        hi = stack[top, 1]
        a = stack[top, 2]
        b = stack[top, 3]
        if lo > hi:
            continue
        mid = (lo + hi) // 2
        best = np.inf
        best_at = a
        for start in range(a, min(b, mid) + 1):
            value = previous[start - 1] + _cost(w, s, q, start, mid)
            if value < best:
                best = value
                best_at = start
        current[mid] = best
        choice[mid] = best_at
        stack[top, 0] = lo
        stack[top, 1] = mid - 1
        stack[top, 2] = a
        stack[top, 3] = best_at
        top += 1
        stack[top, 0] = mid + 1
        stack[top, 1] = hi
        stack[top, 2] = best_at
        stack[top, 3] = b
        top += 1


@compiled
def fisher_jenks(values: Any, weights: Any, k: int) -> Any:
    """Give the index of the first item of each class that makes the within-class sum of squares least.

    Divide and conquer over the monotone optimum: O(k n log n).
    """
    n = values.size
    total = 0.0
    mean = 0.0
    for i in range(n):
        total += weights[i]
        mean += weights[i] * values[i]
    mean /= total
    w = np.zeros(n + 1)
    s = np.zeros(n + 1)
    q = np.zeros(n + 1)
    for i in range(n):
        d = values[i] - mean
        w[i + 1] = w[i] + weights[i]
        s[i + 1] = s[i] + weights[i] * d
        q[i + 1] = q[i] + weights[i] * d * d
    choices = np.zeros((k, n), np.int64)
    previous = np.empty(n)
    for j in range(n):
        previous[j] = _cost(w, s, q, 0, j)
    for c in range(1, k):
        current = np.full(n, np.inf)
        _row(previous, current, choices[c], w, s, q, c)
        previous = current
    starts = np.zeros(k, np.int64)
    end = n - 1
    for c in range(k - 1, 0, -1):
        starts[c] = choices[c, end]
        end = starts[c] - 1
    return starts
