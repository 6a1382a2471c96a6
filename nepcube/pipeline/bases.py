"""What respiration, and with it NEP, would be on the other time bases that the inputs allow.

The three bases of one formula differ severalfold, so the report shows them side by side, on a regular sample of cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask
import numpy as np

from nepcube import harmonise, nep, store
from nepcube.grid import Window, cell_area, dims
from nepcube.pipeline import inputs
from nepcube.pipeline.classing import domain_map, inside
from nepcube.pipeline.context import Run
from nepcube.pipeline.keeping import kept_of, native_series
from nepcube.pipeline.sampling import ELEVATION, sampling_of
from nepcube.years import span_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from odc.geo.geobox import GeoBox

_CELLS = 20_000
_FREQUENCY = {"annual": "year", "monthly": "month", "daily": "day"}
_ALLOWS = {
    "annual": {"hour", "day", "pentad", "dekad", "month", "year"},
    "monthly": {"hour", "day", "pentad", "dekad", "month"},
    "daily": {"hour", "day"},
}


def basis_table(run: Run) -> pd.DataFrame:
    """Give the mean respiration and NEP of all regions on each basis, from a regular sample of the cells.

    Columns: basis, used (whether it is the run's), rh_mean_gc_m2, nep_mean_gc_m2, n_cells (of the sample).
    """
    import pandas as pd

    stride = max(1, int(np.ceil(np.sqrt(run.grid.shape[0] * run.grid.shape[1] / _CELLS))))
    sample = _sampled(run.grid, stride)
    where = domain_map(run.exact)
    maps = store.read_sample(run.statistics.path, [where, "nep_count", "npp_mean"], stride)
    counts = (maps["nep_count"] > 0) & inside(maps[where], bool(run.region_names))
    area = np.broadcast_to(_areas(sample), counts.shape)
    if run.exact:
        area = area * maps[where]
    npp = _mean(maps["npp_mean"], area, counts)
    native = {q: inputs.open_native(run.recipe, q, run.grid) for q in ("temperature", "precipitation")}
    heights = _heights(run, sample, stride)
    fields = _fields(run, sample, stride)
    model = nep.respiration_model(run.recipe.respiration.model)
    rows = []
    for basis, frequencies in _ALLOWS.items():
        if basis not in model.formulas or any(native[q][q].attrs["frequency"] not in frequencies for q in native):
            continue
        rh = _respiration(run, native, sample, basis, heights, fields)
        mean = _mean(rh, area, counts)
        rows.append(
            {
                "basis": basis,
                "used": basis == run.recipe.respiration.basis,
                "rh_mean_gc_m2": mean,
                "nep_mean_gc_m2": npp - mean,
                "n_cells": int(counts.sum()),
            }
        )
    return pd.DataFrame(rows)


def _sampled(grid: GeoBox, stride: int) -> GeoBox:
    # a coarse grid whose cell centres are those of every stride-th cell
    from affine import Affine
    from odc.geo.geobox import GeoBox

    rows, columns = (len(range(stride // 2, n, stride)) for n in grid.shape)
    shift = stride // 2 + 0.5 - stride / 2
    return GeoBox((rows, columns), grid.affine @ Affine.translation(shift, shift) @ Affine.scale(stride), grid.crs)


def _areas(grid: GeoBox) -> Any:
    area = cell_area(grid).values
    return area[:, None] if area.ndim == 1 else area


def _mean(values: Any, area: Any, counts: Any) -> float:
    good = counts & np.isfinite(values)
    return float(np.sum(values[good] * area[good]) / np.sum(area[good])) if good.any() else float("nan")


def _heights(run: Run, sample: GeoBox, stride: int) -> xr.DataArray | None:
    import xarray as xr

    if run.recipe.sources.temperature.elevation is None:
        return None
    values = store.read_sample(run.cube.path, [ELEVATION], stride)[ELEVATION]
    return xr.DataArray(values, dims=dims(sample))


def _fields(run: Run, sample: GeoBox, stride: int) -> dict[str, xr.DataArray]:
    import xarray as xr

    values = store.read_sample(run.cube.path, list(run.recipe.respiration.fields), stride)
    units = nep.respiration_model(run.recipe.respiration.model).fields
    return {n: xr.DataArray(v, dims=dims(sample), attrs={"units": units[n]}) for n, v in values.items()}


def _respiration(
    run: Run,
    native: dict[str, xr.Dataset],
    sample: GeoBox,
    basis: str,
    heights: xr.DataArray | None,
    fields: dict[str, xr.DataArray],
) -> Any:
    window = Window(0, sample.shape[0], 0, sample.shape[1])
    total = np.zeros(sample.shape)
    for year in run.years:
        climate: dict[str, Any] = {}
        for quantity, ds in native.items():
            series = _series(run, quantity, ds, basis, year)
            lazy = sampling_of(run, quantity).block(series, sample, window, heights=heights)
            with dask.config.set(scheduler="threads", num_workers=run.engine.threads):
                climate[quantity] = lazy.compute()
        rh = nep.heterotrophic_respiration(
            climate["temperature"],
            climate["precipitation"],
            basis=basis,
            model=run.recipe.respiration.model,
            year_start=run.recipe.sources.year_start,
            fields=fields,
        )
        total += rh.values[0]
    return total / len(run.years)


def _series(run: Run, quantity: str, native: xr.Dataset, basis: str, year: int) -> xr.Dataset:
    source = run.recipe.sources.readers()[quantity]
    kept = native_series(run, quantity, _FREQUENCY[basis])
    # a run that was stopped may have left a part of it
    if year in kept_of(run, kept, [year]):
        return kept.open(between=span_of((year, year), source.year_start))
    options: Any = {"years": (year, year), "min_coverage": source.min_coverage, "year_start": source.year_start}
    if basis == "annual":
        return harmonise.to_annual(native[[quantity]], **options)
    return harmonise.to_interval(native[[quantity]], _FREQUENCY[basis], **options)
