"""Array kernels of averages over cells: numpy and numba only, each target cell for itself, in the source's order.

The sum of a target cell runs over the rows and then the columns of the source, in float64, and is rounded once, so that
it does not depend on the window that the cell is computed in.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nepcube.compiling import compiled


@compiled
def _value(total: float, weight: float, min_fraction: float) -> float:
    if weight <= 0.0 or weight < min_fraction - 1e-9:
        return np.nan
    return total / weight


@compiled
def _code(weights: Any, min_fraction: float, data_first: bool, fill: int) -> int:
    # where enough of the cell has data it is data; elsewhere the largest of the reasons, the smaller one of equals
    if data_first and weights[0] > 0.0 and weights[0] >= min_fraction - 1e-9:
        return 0
    best = -1
    for code in range(1 if data_first else 0, weights.size):
        if weights[code] > 0.0 and (best < 0 or weights[code] > weights[best]):
            best = code
    return best if best >= 0 else fill


@compiled
def conservative_separable(
    source: Any, row_first: Any, row_weight: Any, column_first: Any, column_weight: Any, min_fraction: float, out: Any
) -> None:
    """Average over the part that each source cell has of a target cell, where rows and columns are independent.

    `row_weight` (target rows, most) holds the shares of target row i in the source rows from `row_first[i]` on.
    """
    for k in range(source.shape[0]):
        for i in range(out.shape[1]):
            r0 = row_first[i]
            for j in range(out.shape[2]):
                c0 = column_first[j]
                total = 0.0
                weight = 0.0
                for a in range(row_weight.shape[1]):
                    wr = row_weight[i, a]
                    if wr <= 0.0:
                        continue
                    for b in range(column_weight.shape[1]):
                        w = wr * column_weight[j, b]
                        if w <= 0.0:
                            continue
                        v = np.float64(source[k, r0 + a, c0 + b])
                        if np.isfinite(v):
                            total += w * v
                            weight += w
                out[k, i, j] = _value(total, weight, min_fraction)


@compiled
def conservative_separable_codes(
    source: Any,
    row_first: Any,
    row_weight: Any,
    column_first: Any,
    column_weight: Any,
    min_fraction: float,
    data_first: bool,
    fill: int,
    out: Any,
) -> None:
    """Give the code with the largest share of each target cell; what no source cell covers counts as `fill`."""
    weights = np.empty(256)
    for k in range(source.shape[0]):
        for i in range(out.shape[1]):
            r0 = row_first[i]
            for j in range(out.shape[2]):
                c0 = column_first[j]
                weights[:] = 0.0
                covered = 0.0
                for a in range(row_weight.shape[1]):
                    wr = row_weight[i, a]
                    if wr <= 0.0:
                        continue
                    for b in range(column_weight.shape[1]):
                        w = wr * column_weight[j, b]
                        if w > 0.0:
                            weights[source[k, r0 + a, c0 + b]] += w
                            covered += w
                weights[fill] += max(0.0, 1.0 - covered - 1e-9)
                out[k, i, j] = _code(weights, min_fraction, data_first, fill)


@compiled
def _strip(lam: float, low: float, high: float, a: float, b: float) -> float:
    """Area between x = low and the curve x = lam cos(phi), up to x = high, for phi from a to b on the unit sphere."""
    ca = lam * np.cos(a)
    cb = lam * np.cos(b)
    least = min(ca, cb)
    most = max(ca, cb)
    if least >= high:
        return (high - low) * (b - a)
    if most <= low:
        return 0.0
    # the curve is monotone in a hemisphere: it crosses each of the two lines once at most
    cuts = np.empty(4)
    cuts[0] = a
    n = 1
    sign = 1.0 if a + b >= 0.0 else -1.0
    for line in (low, high):
        if least < line < most:
            phi = sign * np.arccos(line / lam)
            cuts[n] = min(max(phi, a), b)
            n += 1
    cuts[n] = b
    if n == 3 and cuts[1] > cuts[2]:
        cuts[1], cuts[2] = cuts[2], cuts[1]
    area = 0.0
    for i in range(n):
        p, q = cuts[i], cuts[i + 1]
        if q <= p:
            continue
        middle = 0.5 * (p + q)
        x = lam * np.cos(middle)
        if x >= high:
            area += (high - low) * (q - p)
        elif x > low:
            # the sine's difference as a product, which does not cancel
            area += lam * 2.0 * np.cos(middle) * np.sin(0.5 * (q - p)) - low * (q - p)
    return max(area, 0.0)


@compiled
def _overlap(left: float, right: float, low: float, high: float, a: float, b: float) -> float:
    """Area of the part of low < x < high between the meridians left and right and the parallels a and b."""
    return max(0.0, _strip(right, low, high, a, b) - _strip(left, low, high, a, b))


@compiled
def _columns(left: float, right: float, a: float, b: float, x0: float, dx: float, size: int) -> tuple[int, int]:
    # the columns that the part between two meridians and two parallels can touch
    far = min(left * np.cos(a), left * np.cos(b))
    near = max(right * np.cos(a), right * np.cos(b))
    first = int(np.floor((far - x0) / dx)) - 1
    last = int(np.floor((near - x0) / dx)) + 2
    return max(first, 0), min(last, size)


@compiled
def _rows(phi_edges: Any, top: float, bottom: float) -> tuple[int, int]:
    # edges fall: the rows whose band meets bottom..top
    n = phi_edges.size - 1
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if phi_edges[middle + 1] >= top:
            low = middle + 1
        else:
            high = middle
    first = low
    high = n
    while low < high:
        middle = (low + high) // 2
        if phi_edges[middle] > bottom:
            low = middle + 1
        else:
            high = middle
    return first, low


@compiled
def _cell(
    edges: Any, columns: int, top: float, bottom: float, left: float, right: float, parts: Any
) -> tuple[int, Any]:
    """List the source cells that overlap a cell between two parallels and two meridians: row, column, share of area.

    `edges` are the latitudes of the source's row edges, the first column edge and the width of a column; `parts` is
    room that is made larger where it does not suffice.
    """
    phi, x0, dx = edges
    whole = (right - left) * (np.sin(top) - np.sin(bottom))
    first, last = _rows(phi, top, bottom)
    n = 0
    for r in range(first, last):
        b = min(top, phi[r])
        a = max(bottom, phi[r + 1])
        if b <= a:
            continue
        c0, c1 = _columns(left, right, a, b, x0, dx, columns)
        if n + c1 - c0 > parts.shape[0]:
            larger = np.empty((2 * (n + c1 - c0), 3))
            larger[:n] = parts[:n]
            parts = larger
        for c in range(c0, c1):
            low = x0 + c * dx
            w = _overlap(left, right, low, low + dx, a, b)
            if w > 0.0:
                parts[n, 0], parts[n, 1], parts[n, 2] = r, c, w / whole
                n += 1
    return n, parts


@compiled
def sinusoidal(source: Any, edges: Any, target_phi: Any, target_lam: Any, min_fraction: float, out: Any) -> None:
    """Average the cells of a sinusoidal grid over cells between parallels and meridians, by exact overlap.

    `edges` describes the source on the unit sphere, where the sinusoidal plane keeps areas: the latitudes of its row
    edges (falling), the first column edge and the width of a column. `target_phi` (falling) and `target_lam` (rising)
    are the target's edges in radians.
    """
    parts = np.empty((64, 3))
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            n, parts = _cell(
                edges, source.shape[2], target_phi[i], target_phi[i + 1], target_lam[j], target_lam[j + 1], parts
            )
            for k in range(source.shape[0]):
                total = 0.0
                weight = 0.0
                for p in range(n):
                    v = np.float64(source[k, int(parts[p, 0]), int(parts[p, 1])])
                    if np.isfinite(v):
                        total += parts[p, 2] * v
                        weight += parts[p, 2]
                out[k, i, j] = _value(total, weight, min_fraction)


@compiled
def sinusoidal_codes(
    source: Any,
    edges: Any,
    target_phi: Any,
    target_lam: Any,
    min_fraction: float,
    data_first: bool,
    fill: int,
    out: Any,
) -> None:
    """Give the code with the largest share of each cell; see `sinusoidal`."""
    parts = np.empty((64, 3))
    weights = np.empty(256)
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            n, parts = _cell(
                edges, source.shape[2], target_phi[i], target_phi[i + 1], target_lam[j], target_lam[j + 1], parts
            )
            for k in range(source.shape[0]):
                weights[:] = 0.0
                covered = 0.0
                for p in range(n):
                    weights[source[k, int(parts[p, 0]), int(parts[p, 1])]] += parts[p, 2]
                    covered += parts[p, 2]
                weights[fill] += max(0.0, 1.0 - covered - 1e-9)
                out[k, i, j] = _code(weights, min_fraction, data_first, fill)


@compiled
def centres(
    source: Any, at: Any, rows: Any, columns: Any, areas: Any, min_fraction: float, total: Any, weight: Any, out: Any
) -> None:
    """Average the source cells whose centre lies in a target cell.

    `rows` and `columns` give the target cell of each centre of a part of the source's lattice, negative where there is
    none; the source lies in that part from `at` on, and what it does not cover is missing. `areas` weighs the rows.
    `total` (layers, rows, columns) and `weight` (layers + 1, rows, columns), whose last layer takes what there is room
    for, are zero at the start.
    """
    layers = source.shape[0]
    for r in range(rows.shape[0]):
        area = areas[r]
        y = r - at[0]
        for c in range(rows.shape[1]):
            i = rows[r, c]
            j = columns[r, c]
            if i < 0 or j < 0:
                continue
            weight[layers, i, j] += area
            x = c - at[1]
            if y < 0 or x < 0 or y >= source.shape[1] or x >= source.shape[2]:
                continue
            for k in range(layers):
                v = np.float64(source[k, y, x])
                if np.isfinite(v):
                    total[k, i, j] += area * v
                    weight[k, i, j] += area
    for k in range(layers):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                here = weight[layers, i, j]
                if here <= 0.0 or weight[k, i, j] <= 0.0 or weight[k, i, j] < (min_fraction - 1e-9) * here:
                    out[k, i, j] = np.nan
                else:
                    out[k, i, j] = total[k, i, j] / weight[k, i, j]


@compiled
def centres_codes(
    source: Any,
    at: Any,
    rows: Any,
    columns: Any,
    areas: Any,
    min_fraction: float,
    data_first: bool,
    fill: int,
    weights: Any,
    out: Any,
) -> None:
    """Give the code of the largest area among the centres in each cell; `weights` is room, (rows, columns, 256)."""
    for k in range(source.shape[0]):
        weights[:] = 0.0
        for r in range(rows.shape[0]):
            y = r - at[0]
            for c in range(rows.shape[1]):
                i = rows[r, c]
                j = columns[r, c]
                if i < 0 or j < 0:
                    continue
                x = c - at[1]
                code = fill
                if 0 <= y < source.shape[1] and 0 <= x < source.shape[2]:
                    code = source[k, y, x]
                weights[i, j, code] += areas[r]
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                whole = 0.0
                for code in range(256):
                    whole += weights[i, j, code]
                if whole > 0.0:
                    for code in range(256):
                        weights[i, j, code] /= whole
                out[k, i, j] = _code(weights[i, j], min_fraction, data_first, fill)
