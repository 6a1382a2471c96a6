"""Kernels of natural breaks: counting into bins and the Fisher-Jenks optimum. numpy and numba only."""

from __future__ import annotations

from typing import Any

import numpy as np

from nepcube.compiling import compiled

#: fixed points of weights and of weighted offsets within a bin
WEIGHT_POINT = float(1 << 20)


@compiled
def count_into(
    values: Any,
    keys: Any,
    weights: Any,
    slots: Any,
    shift: Any,
    offset: Any,
    mask: Any,
    middle: Any,
    width: Any,
    sums: Any,
    smallest: Any,
    largest: Any,
) -> None:
    """Sum weights and their first two moments (in widths from a bin's middle) and take both ends, for each bin.

    A slot names a bin, or, negative, the table that divides it by the next bits of the key.
    """
    for i in range(values.size):
        v = values[i]
        w = weights[i]
        if not np.isfinite(v) or not (w > 0.0):
            continue
        b = slots[np.int64(keys[i] >> shift[0])]
        while b < 0:
            node = -b - 1
            b = slots[offset[node] + np.int64((keys[i] >> shift[node]) & mask[node])]
        at = (v - middle[b]) / width[b] if width[b] > 0.0 else 0.0
        w *= WEIGHT_POINT
        sums[0, b] += np.int64(np.rint(w))
        sums[1, b] += np.int64(np.rint(w * at))
        sums[2, b] += np.int64(np.rint(w * at * at))
        smallest[b] = min(smallest[b], v)
        largest[b] = max(largest[b], v)


@compiled
def _two_sum(a: float, b: float) -> tuple[float, float]:
    s = a + b
    c = s - a
    return s, (a - (s - c)) + (b - c)


@compiled
def _two_product(a: float, b: float) -> tuple[float, float]:
    # Dekker 1971
    p = a * b
    c = 134217729.0 * a
    ah = c - (c - a)
    al = a - ah
    c = 134217729.0 * b
    bh = c - (c - b)
    bl = b - bh
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


@compiled
def _add(ah: float, al: float, bh: float, bl: float) -> tuple[float, float]:
    s, e = _two_sum(ah, bh)
    e += al + bl
    h = s + e
    return h, e - (h - s)


@compiled
def _cost(w: Any, s: Any, q: Any, i: int, j: int) -> float:
    # within sum of squares of items i..j, from prefix sums of doubled precision: one value of 1e12 among small ones
    # would leave no digit of theirs in float64
    wh, wl = _add(w[j + 1, 0], w[j + 1, 1], -w[i, 0], -w[i, 1])
    if wh <= 0.0:
        return 0.0
    sh, sl = _add(s[j + 1, 0], s[j + 1, 1], -s[i, 0], -s[i, 1])
    qh, ql = _add(q[j + 1, 0], q[j + 1, 1], -q[i, 0], -q[i, 1])
    # the mean, then q - mean * s
    first = sh / wh
    ph, pl = _two_product(first, wh)
    rh, rl = _add(sh, sl, -ph, -pl - first * wl)
    second = (rh + rl) / wh
    ph, pl = _two_product(first, sh)
    th, tl = _add(qh, ql, -ph, -pl - first * sl - second * sh)
    return max(th + tl, 0.0)


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
    most = 0.0
    for i in range(n):
        most = max(most, abs(values[i]))
    # a power of two, so that no square overflows and no digit is lost
    scale = 2.0 ** -np.floor(np.log2(most)) if most > 0.0 else 1.0
    w = np.zeros((n + 1, 2))
    s = np.zeros((n + 1, 2))
    q = np.zeros((n + 1, 2))
    for i in range(n):
        v = values[i] * scale
        load = weights[i]
        w[i + 1, 0], w[i + 1, 1] = _add(w[i, 0], w[i, 1], load, 0.0)
        ph, pl = _two_product(load, v)
        s[i + 1, 0], s[i + 1, 1] = _add(s[i, 0], s[i, 1], ph, pl)
        qh, ql = _two_product(ph, v)
        q[i + 1, 0], q[i + 1, 1] = _add(q[i, 0], q[i, 1], qh, ql + pl * v)
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
