"""How a climate quantity comes from its native grid to a block of the target: method, engine, elevation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import harmonise, sources, store
from nepcube.errors import GridError, SourceError
from nepcube.grid import Window, dims
from nepcube.pipeline.keeping import kept_of, note_kept, orography_series, start_over
from nepcube.places import Place

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

    from nepcube import recipe as recipes
    from nepcube.pipeline.context import Run

#: the variable of the cube that holds the height of its cells, where temperature is corrected for it
ELEVATION = "elevation"
# the one unit of the relief in the ledger
_WHOLE = "all"


@dataclass(frozen=True)
class Relief:
    """What the correction of temperature for elevation needs: the model's relief, the cells' heights, the rate."""

    orography: store.NativeSeries
    cube: Place
    lapse_rate: float


@dataclass(frozen=True)
class Sampling:
    """How one quantity is brought to the grid; light enough to send to workers."""

    quantity: str
    method: str
    min_fraction: float
    engine: str
    weights: Place | None
    relief: Relief | None

    def block(
        self,
        native: xr.Dataset,
        grid: GeoBox,
        window: Window,
        *,
        step: int | None = None,
        heights: xr.DataArray | None = None,
    ) -> xr.DataArray:
        """Give the quantity in a window, all steps or one; the cells' heights are read from the cube when left out."""
        options: Any = {"min_fraction": self.min_fraction, "engine": self.engine, "weights": self.weights}
        out = harmonise.regrid_window(native, grid, window, self.method, step=step, **options)[self.quantity]
        if self.relief is None:
            return out
        coarse = harmonise.regrid_window(self.relief.orography.open(), grid, window, self.method, **options)
        fine = self._heights(grid, window) if heights is None else heights
        return harmonise.correct_for_elevation(
            out, coarse["orography"].isel(time=0, drop=True), fine, self.relief.lapse_rate
        )

    def _heights(self, grid: GeoBox, window: Window) -> xr.DataArray:
        import xarray as xr

        assert self.relief is not None
        values = store.read_block(self.relief.cube, [ELEVATION], window)[ELEVATION]
        return xr.DataArray(values, dims=dims(grid))


@dataclass(frozen=True)
class Climate:
    """One quantity of climate, aggregated on its native grid and kept, with the way to the grid."""

    series: store.NativeSeries
    sampling: Sampling
    between: tuple[np.datetime64, np.datetime64] | None = None

    def read(self, grid: GeoBox, window: Window, step: int | None = None) -> xr.DataArray:
        """Sample a window, all steps or one; it reads and computes at once, so it belongs into a job."""
        return self.sampling.block(self.series.open(between=self.between), grid, window, step=step)


def sampling_of(run: Run, quantity: str) -> Sampling:
    """Give how the recipe brings a quantity to the grid."""
    source = run.recipe.sources.readers()[quantity]
    harmonise.require_engine(source.engine)
    relief = None
    if source.elevation is not None:
        keep_orography(run)
        relief = Relief(orography_series(run), run.cube.path, source.elevation.lapse_rate)
    weights = run.out / ".nepcube" / "weights" if source.engine == "xesmf" else None
    return Sampling(quantity, source.resampling, source.min_fraction, source.engine, weights, relief)


def open_elevation(recipe: recipes.Recipe, grid: GeoBox) -> tuple[xr.DataArray, xr.DataArray] | None:
    """Open the relief of the temperature's source and the elevation model, in m, where the recipe names them.

    Raises
    ------
    NepcubeError
        One of the two cannot be used, or does not cover the grid.
    """
    source = recipe.sources.readers().get("temperature")
    if source is None or source.elevation is None:
        return None
    orography = _height(recipe, source.elevation.orography, "orography", grid)
    return orography, _height(recipe, source.elevation.dem, "dem", grid)


def _height(recipe: recipes.Recipe, raster: recipes.Raster, key: str, grid: GeoBox) -> xr.DataArray:
    path, field = open_one(recipe, raster, f"elevation.{key}", grid)
    return harmonise.surface_height(field, units=raster.units, of=f"{path}: elevation.{key}")


def open_one(recipe: recipes.Recipe, raster: recipes.Raster, key: str, grid: GeoBox) -> tuple[str, xr.DataArray]:
    """Open the one raster that a key of the recipe names; give its path, too.

    Raises
    ------
    NepcubeError
        There are several, it cannot be read, or it does not cover the grid.
    """
    found = sources.expand(recipe.resolve(raster.path))
    if len(found) > 1:
        raise SourceError(
            f"{raster.path}: {len(found)} files match `{key}`, one raster is needed.",
            "Merge them into one (gdalbuildvrt makes one of many), or name one.",
        )
    field = sources.open_raster(found[0], variable=raster.variable, nodata=raster.nodata)
    if not harmonise.covers(field.to_dataset(name="field"), grid):
        raise GridError(
            f"{found[0]}: it does not cover `grid.bounds`.", "Give a raster of a larger area, or a smaller grid."
        )
    return found[0], field


def keep_orography(run: Run) -> None:
    """Keep the relief of the temperature's source beside the native climate, where jobs read it."""
    series = orography_series(run)
    found = open_elevation(run.recipe, run.grid)
    if found is None or kept_of(run, series, [_WHOLE]):
        return
    # it may be deleted when a run is finished, and is made again when it is needed
    start_over(run, series)
    field, _ = found
    stamp = np.array(["2000-01-01"], "datetime64[ns]")
    whole: Any = field.rename("orography").expand_dims(time=stamp)
    series.create(whole, stamp)
    note_kept(run, series, _WHOLE, series.write(np.asarray(whole.data, np.float64), stamp))
    run.ledger.flush()


def constant_on(field: xr.DataArray, name: str, grid: GeoBox, window: Window) -> harmonise.Later:
    """Give a constant field's mean in the cells of a window, later: of its centres where finer, else interpolated."""
    ds = field.to_dataset(name=name)
    method = "average" if harmonise.is_finer(ds, grid) else "bilinear"
    return harmonise.regrid_later(ds, grid, window, method)
