"""The truth of a generated archive, in closed form: what its files hold, without the files."""

from __future__ import annotations

import calendar
import datetime
import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import NepcubeError

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["SCENARIOS", "Truth"]

SCENARIOS = ("headwaters",)
TILE_METRES = 1111950.5196666666
_TEMPERATURE, _PRECIPITATION, _RADIATION = range(3)
#: solar noon is near 06 UTC in the Headwaters, so the sun is taken to be up from 00 to 12 UTC
_DAYLIGHT_HOURS = 12


class Truth:
    """What a generated archive holds, as a pure function of place, year and seed.

    Parameters
    ----------
    scenario : str
        ``"headwaters"``, the only one.
    seed : int
        Another seed is another world with the same ecoregions and much the same statistics.
    pixels : int
        Pixels a side of a MODIS tile; 2400 is the real product's 463.31 m.
    years : tuple of int
        First and last year of the archive.

    Raises
    ------
    NepcubeError
        The scenario is not known, or a number makes no sense.
    """

    def __init__(
        self, scenario: str = "headwaters", *, seed: int = 1, pixels: int = 2400, years: tuple[int, int] = (2001, 2020)
    ) -> None:
        if scenario not in SCENARIOS:
            raise NepcubeError(f"archive: the scenario {scenario!r} is not known.", f"Use {', '.join(SCENARIOS)}.")
        if pixels < 1 or seed < 0 or years[0] > years[1] or years[0] < 2 or years[1] > 9998:
            raise NepcubeError(
                f"archive: seed {seed}, pixels {pixels} and years {years[0]}-{years[1]} cannot be generated.",
                "Take a seed from 0, at least one pixel, and a first year that is not after the last.",
            )
        self.scenario = scenario
        self.seed = int(seed)
        self.pixels = int(pixels)
        self.years = (int(years[0]), int(years[1]))
        self.pixel_size = TILE_METRES / self.pixels

    def __repr__(self) -> str:
        return f"Truth({self.scenario!r}, seed={self.seed}, pixels={self.pixels}, years={self.years})"

    @cached_property
    def regions(self) -> gpd.GeoDataFrame:
        """The six ecoregions: columns ``name``, ``code``, ``name_zh``, EPSG:4326."""
        from nepcube.demo.regions import ecoregions

        return ecoregions()

    def npp_raw(self, rows: ArrayLike, cols: ArrayLike, year: ArrayLike) -> NDArray[np.int16]:
        """Give ``Npp_500m`` as stored, codes included.

        Parameters
        ----------
        rows, cols : array_like of int
            Indices in the global sinusoidal grid of this pixel size, from its north-west corner. They broadcast.
        year : array_like of int
            Broadcasts with them.

        Returns
        -------
        numpy.ndarray of int16
            0.0001 kgC m-2 yr-1, or a code 32761..32767, or rarely a value outside the valid range that is no code.
        """
        return self._points(rows, cols, year)[0]

    def npp_qc(self, rows: ArrayLike, cols: ArrayLike, year: ArrayLike) -> NDArray[np.uint8]:
        """Give ``Npp_QC_500m`` as stored: percent of gap-filled days, or 249..255 where NPP is a code."""
        return self._points(rows, cols, year)[1]

    def temperature_month(
        self, year: int, month: int, latitude: ArrayLike, longitude: ArrayLike
    ) -> NDArray[np.float32]:
        """Give the monthly mean temperature at 2 m of the 0.1 degree cell that holds each place.

        Parameters
        ----------
        year, month : int
        latitude, longitude : array_like of float
            Degrees; they broadcast. A place stands for the nearest cell centre of ERA5-Land.

        Returns
        -------
        numpy.ndarray of float32
            K.
        """
        return self._month(_TEMPERATURE, year, month, *_era5_centres(latitude, longitude))

    def radiation_month(self, year: int, month: int, latitude: ArrayLike, longitude: ArrayLike) -> NDArray[np.float32]:
        """Give the monthly mean of the daily net solar radiation (``ssr``), J m-2 **per day**."""
        return self._month(_RADIATION, year, month, *_era5_centres(latitude, longitude))

    def precipitation_month(
        self, year: int, month: int, latitude: ArrayLike, longitude: ArrayLike
    ) -> NDArray[np.float32]:
        """Give the precipitation of a month in the 0.05 degree cell of CHIRPS that holds each place, mm."""
        return self._month(_PRECIPITATION, year, month, *_chirps_centres(latitude, longitude))

    def precipitation_year(self, year: int, latitude: ArrayLike, longitude: ArrayLike) -> NDArray[np.float32]:
        """Give the precipitation of a year, mm: the stored months added up in float64, rounded once."""
        months = self._climate_year(_PRECIPITATION, year, *_chirps_centres(latitude, longitude))
        total = np.zeros(months.shape[:-1])
        for month in range(12):
            total += months[..., month]
        return total.astype(np.float32)

    def elevation(self, latitude: ArrayLike, longitude: ArrayLike) -> Floats:
        """Give the height of places, m.

        Mean temperature falls with it by 6.5 K km-1; hills of less than the climate's cells are added.
        """
        from nepcube.demo import _land

        lat, lon, shape = _places(latitude, longitude)
        out = np.empty(shape)
        _land.heights(self._fields.stream, lat, lon, out.reshape(-1))
        return out

    def land_cover(self, latitude: ArrayLike, longitude: ArrayLike) -> NDArray[np.uint8]:
        """Give the land cover of places as a code of GlobeLand30.

        Water, snow, towns, barren land and wetland are where NPP has their codes in 2001, but for single pixels.
        """
        from nepcube.demo import _land

        lat, lon, shape = _places(latitude, longitude)
        out = np.empty(shape, np.uint8)
        fields = self._fields
        _land.covers(fields.stream, lat, lon, fields.table, fields.origin, fields.coefficients, out.reshape(-1))
        return out

    def radiation_day(self, date: datetime.date, latitude: ArrayLike, longitude: ArrayLike) -> NDArray[np.float32]:
        """Give the net solar radiation of a day (UTC), J m-2: what ERA5-Land stamps with 00 UTC of the day after.

        The days of a month average to `radiation_month`, but for rounding.
        """
        return self._radiation_day(date, latitude, longitude).astype(np.float32)

    def radiation_since_midnight(
        self, date: datetime.date, hour: int, latitude: ArrayLike, longitude: ArrayLike
    ) -> NDArray[np.float32]:
        """Give the net solar radiation from 00 UTC of a day until an hour 0..24 of it, J m-2."""
        share = 1.0 if hour >= _DAYLIGHT_HOURS else (1.0 - math.cos(math.pi * hour / _DAYLIGHT_HOURS)) / 2.0
        return (self._radiation_day(date, latitude, longitude) * share).astype(np.float32)

    def temperature_hour(
        self, date: datetime.date, hour: int, latitude: ArrayLike, longitude: ArrayLike
    ) -> NDArray[np.float32]:
        """Give the temperature at 2 m at an hour (UTC), K: the month's mean and a daily wave without one of its own."""
        month = self.temperature_month(date.year, date.month, latitude, longitude)
        wave = 6.0 * math.cos(2.0 * math.pi * (hour - 8) / 24.0)
        return (month.astype(np.float64) + wave).astype(np.float32)

    def _radiation_day(self, date: datetime.date, latitude: ArrayLike, longitude: ArrayLike) -> Floats:
        from nepcube.demo import _kernels as k

        days = calendar.monthrange(date.year, date.month)[1]
        first = datetime.date(date.year, date.month, 1).toordinal()
        odds = [k._hash(self._fields.stream + 93, first + d, 0) for d in range(days)]
        cloud = 0.5 * (odds[date.day - 1] - math.fsum(odds) / days)
        month = self.radiation_month(date.year, date.month, latitude, longitude)
        return np.asarray(month.astype(np.float64) * (1.0 + cloud))

    @cached_property
    def _fields(self) -> Any:
        from nepcube.demo.fields import make_fields

        return make_fields(self.seed)

    def _points(self, rows: ArrayLike, cols: ArrayLike, year: ArrayLike) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        from nepcube.demo import _kernels as k
        from nepcube.demo.fields import modes

        r, c, y = np.broadcast_arrays(*(np.asarray(a, dtype=np.int64) for a in (rows, cols, year)))
        different, index = np.unique(y, return_inverse=True)
        npp, qc = np.empty(r.size, np.int16), np.empty(r.size, np.uint8)
        flat = (np.ascontiguousarray(a).reshape(-1) for a in (r, c, y, index))
        fields = self._fields
        phi = modes(fields.stream, tuple(different.tolist()))
        k.points(fields.stream, self.pixel_size, *flat, phi, *fields.static, npp, qc)
        return npp.reshape(r.shape), qc.reshape(r.shape)

    def _tile(
        self, h: int, v: int, years: NDArray[np.int64]
    ) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.uint16]]:
        # NPP, its quality and GPP of a whole tile, (year, row, column)
        from nepcube.demo import _kernels as k
        from nepcube.demo.fields import modes

        n = self.pixels
        shape = (years.size, n, n)
        npp, qc, gpp = np.empty(shape, np.int16), np.empty(shape, np.uint8), np.empty(shape, np.uint16)
        fields = self._fields
        phi = modes(fields.stream, tuple(years.tolist()))
        k.tile(fields.stream, self.pixel_size, v * n, h * n, years, phi, *fields.static, npp, qc, gpp)
        return npp, qc, gpp

    def _climate_year(self, variable: int, year: int, latitude: Floats, longitude: Floats) -> NDArray[np.float32]:
        # the twelve months of a year along the last axis
        from nepcube.demo import _kernels as k
        from nepcube.demo.fields import modes, monthly_modes

        lat, lon = np.broadcast_arrays(latitude, longitude)
        flat = (np.ascontiguousarray(a).reshape(-1) for a in (lat, lon))
        fields = self._fields
        phi, psi = modes(fields.stream, (int(year),)), monthly_modes(fields.stream, (int(year),))
        out = np.empty((lat.size, 3, 12))
        k.climate_year(fields.stream, *flat, 0, int(year), phi, psi, fields.calibrated, out)
        return out[:, variable].astype(np.float32).reshape(*lat.shape, 12)

    def _month(self, variable: int, year: int, month: int, latitude: Floats, longitude: Floats) -> NDArray[np.float32]:
        if not 1 <= month <= 12:
            raise ValueError(f"month {month} is not 1..12")
        return np.ascontiguousarray(self._climate_year(variable, year, latitude, longitude)[..., month - 1])


def _places(latitude: ArrayLike, longitude: ArrayLike) -> tuple[Floats, Floats, tuple[int, ...]]:
    # flat places, and their shape
    lat, lon = np.broadcast_arrays(np.asarray(latitude, np.float64), np.asarray(longitude, np.float64))
    return np.ascontiguousarray(lat).reshape(-1), np.ascontiguousarray(lon).reshape(-1), lat.shape


def _era5_centres(latitude: ArrayLike, longitude: ArrayLike) -> tuple[Floats, Floats]:
    # whole tenths, so that a coordinate read back as float32 is the same cell
    def snap(a: ArrayLike) -> Floats:
        return np.rint(np.asarray(a, dtype=np.float64) * 10.0) / 10.0

    return snap(latitude), snap(longitude)


def _chirps_centres(latitude: ArrayLike, longitude: ArrayLike) -> tuple[Floats, Floats]:
    def snap(a: ArrayLike) -> Floats:
        return (np.floor(np.asarray(a, dtype=np.float64) * 20.0) + 0.5) / 20.0

    return snap(latitude), snap(longitude)
