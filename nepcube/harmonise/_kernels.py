"""Array kernels of harmonising: numpy and numba only, sequential over time, float64 accumulators, no fastmath."""

from __future__ import annotations

from typing import Any

import numpy as np

from nepcube.compiling import compiled


@compiled
def accumulate(state: Any, values: Any, factors: Any, weights: Any, clip: bool) -> None:
    """Add some steps to (sum, covered, clipped), each (y, x); a missing value adds nothing."""
    steps, rows, columns = values.shape
    for t in range(steps):
        factor = factors[t]
        weight = weights[t]
        for i in range(rows):
            for j in range(columns):
                v = np.float64(values[t, i, j])
                if np.isfinite(v):
                    if clip and v < 0.0:
                        v = 0.0
                        state[2, i, j] += 1.0
                    state[0, i, j] += factor * v
                    state[1, i, j] += weight


@compiled
def finish(state: Any, length: float, is_mean: bool, min_coverage: float, factor: float, offset: float) -> Any:
    """Turn (sum, covered, clipped) into the value of the interval, missing where it is covered too little."""
    rows, columns = state.shape[1:]
    out = np.empty((rows, columns), np.float64)
    for i in range(rows):
        for j in range(columns):
            covered = state[1, i, j]
            if covered <= 0.0 or covered < min_coverage * length * (1.0 - 1e-12):
                out[i, j] = np.nan
            else:
                total = state[0, i, j]
                if is_mean:
                    total = total / covered
                elif covered < length * (1.0 - 1e-12):
                    total = total * (length / covered)
                out[i, j] = total * factor + offset
    return out


@compiled
def gather_separable(source: Any, rows: Any, columns: Any, fill: Any, out: Any) -> None:
    """out[k, i, j] = source[k, rows[i], columns[j]]; a negative index is outside."""
    for k in range(source.shape[0]):
        for i in range(rows.size):
            r = rows[i]
            for j in range(columns.size):
                c = columns[j]
                out[k, i, j] = source[k, r, c] if r >= 0 and c >= 0 else fill


@compiled
def gather(source: Any, rows: Any, columns: Any, fill: Any, out: Any) -> None:
    """out[k, i, j] = source[k, rows[i, j], columns[i, j]]; a negative index is outside."""
    for k in range(source.shape[0]):
        for i in range(rows.shape[0]):
            for j in range(rows.shape[1]):
                r = rows[i, j]
                c = columns[i, j]
                out[k, i, j] = source[k, r, c] if r >= 0 and c >= 0 else fill


@compiled
def gather_sinusoidal(
    source: Any, rows: Any, cos: Any, lam: Any, radius: float, x0: float, dx: float, window: Any, fill: Any, out: Any
) -> None:
    """out[k, i, j] = source[k, rows[i], the column that holds ((cos[i] * lam[j]) * radius - x0) / dx].

    `window` is the first column of `source` in the grid, and the number of columns of the grid.
    """
    first, size = window
    for i in range(rows.size):
        r = rows[i]
        c0 = cos[i]
        for j in range(lam.size):
            c = np.floor(((c0 * lam[j]) * radius - x0) / dx + 0.5)
            if r >= 0 and c >= 0 and c < size:
                column = int(c) - first
                for k in range(source.shape[0]):
                    out[k, i, j] = source[k, r, column]
            else:
                for k in range(source.shape[0]):
                    out[k, i, j] = fill


@compiled
def _four(source: Any, k: int, r: float, c: float, min_fraction: float) -> float:
    rows, columns = source.shape[1:]
    if not (r >= -1e-9 and c >= -1e-9 and r <= rows - 1 + 1e-9 and c <= columns - 1 + 1e-9):
        return np.nan
    r = min(max(r, 0.0), rows - 1.0)
    c = min(max(c, 0.0), columns - 1.0)
    r0 = min(int(np.floor(r)), max(rows - 2, 0))
    c0 = min(int(np.floor(c)), max(columns - 2, 0))
    fr = r - r0
    fc = c - c0
    total = 0.0
    weight = 0.0
    for a in range(2):
        wr = fr if a == 1 else 1.0 - fr
        if wr == 0.0:
            continue
        for b in range(2):
            w = wr * (fc if b == 1 else 1.0 - fc)
            if w == 0.0:
                continue
            v = np.float64(source[k, r0 + a, c0 + b])
            if np.isfinite(v):
                total += w * v
                weight += w
    if weight <= 0.0 or weight < min_fraction - 1e-12:
        return np.nan
    if weight >= 1.0 - 1e-12:
        return total
    return total / weight


@compiled
def bilinear_separable(source: Any, rows: Any, columns: Any, min_fraction: float, out: Any) -> None:
    """Interpolate between four centres; missing ones are left out down to a minimum weight."""
    first, share = _between(columns, source.shape[2])
    for k in range(source.shape[0]):
        for i in range(rows.size):
            r = rows[i]
            r0 = min(int(np.floor(r)), source.shape[1] - 2) if 0.0 <= r <= source.shape[1] - 1.0 else -1
            fr = r - r0
            plain = r0 >= 0 and 0.0 < fr < 1.0
            for j in range(columns.size):
                c0 = first[j]
                if plain and c0 >= 0:
                    # as in `_four`, in its order, where all four are there and have weight
                    fc = share[j]
                    total = 0.0 + (1.0 - fr) * (1.0 - fc) * np.float64(source[k, r0, c0])
                    total += (1.0 - fr) * fc * np.float64(source[k, r0, c0 + 1])
                    total += fr * (1.0 - fc) * np.float64(source[k, r0 + 1, c0])
                    total += fr * fc * np.float64(source[k, r0 + 1, c0 + 1])
                    if np.isfinite(total):
                        out[k, i, j] = total
                        continue
                out[k, i, j] = _four(source, k, r, columns[j], min_fraction)


@compiled
def _between(at: Any, size: int) -> Any:
    # the first of the two neighbours of each position and the share of the second; -1 where there are no two
    first = np.full(at.size, -1, np.int64)
    share = np.zeros(at.size, np.float64)
    for j in range(at.size):
        if 0.0 <= at[j] <= size - 1.0 and size >= 2:
            first[j] = min(int(np.floor(at[j])), size - 2)
            share[j] = at[j] - first[j]
            if not 0.0 < share[j] < 1.0:
                first[j] = -1
    return first, share


@compiled
def bilinear(source: Any, rows: Any, columns: Any, min_fraction: float, out: Any) -> None:
    """Interpolate at positions that vary in two dimensions."""
    for k in range(source.shape[0]):
        for i in range(rows.shape[0]):
            for j in range(rows.shape[1]):
                out[k, i, j] = _four(source, k, rows[i, j], columns[i, j], min_fraction)
