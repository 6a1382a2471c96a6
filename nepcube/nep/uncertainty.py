"""The error of NPP and of the coefficients of respiration, carried into the mean NEP of a cell and of a region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SpecError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

UNCERTAINTY_FORMULA = (
    "u^2 = (s^2 + c^2) (mean NPP)^2 + y^2 sum_t NPP_t^2 / n^2 + sum_jk r_j r_k R_jk D_j D_k, "
    "D_j = mean of b_j dRH/db_j; of a region, s and r_j of the area-weighted means of NPP and D_j, c and y of the "
    "roots of the sums of squares"
)
UNCERTAINTY_CITATION = (
    "JCGM 100:2008. Evaluation of measurement data: Guide to the expression of uncertainty in measurement, 5.1 and 5.2."
)
KINDS = ("systematic", "by_cell", "by_cell_year")
#: the standard normal at 97.5 %, for intervals of 95 %
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class InputErrors:
    """Relative standard errors of what NEP is made of.

    Attributes
    ----------
    systematic, by_cell, by_cell_year : float
        Of NPP: one error that all cells and years share; one of each cell that its years share; one of each cell and
        year. They are independent of each other, and the last two from cell to cell.
    respiration : mapping of str to float
        Of the coefficients of the model, each shared by all cells and years.
    correlation : sequence of (str, str, float)
        Between the errors of two coefficients; the others are independent.
    """

    systematic: float
    by_cell: float
    by_cell_year: float
    respiration: Mapping[str, float] = field(default_factory=dict)
    correlation: tuple[tuple[str, str, float], ...] = ()

    def __post_init__(self) -> None:
        numbers = {f"npp.{kind}": getattr(self, kind) for kind in KINDS}
        numbers |= {f"respiration.{name}": value for name, value in self.respiration.items()}
        for name, value in numbers.items():
            if not 0.0 <= value < np.inf:
                raise SpecError(f"{name}: {value!r} is no relative error.", "Give a share of 1, such as 0.2 for 20 %.")
        pairs = set()
        for one, other, r in self.correlation:
            told = f"correlation: [{one}, {other}, {r:g}]"
            for name in (one, other):
                if name not in self.respiration:
                    raise SpecError(f"{told}: {name!r} has no error.", "Name two coefficients of `respiration`.")
            if one == other or frozenset((one, other)) in pairs:
                raise SpecError(f"{told}: the pair is told already.", "Name each pair of two coefficients once.")
            if not -1.0 <= r <= 1.0:
                raise SpecError(f"{told}: {r:g} is no correlation.", "Give a number from -1 to 1.")
            pairs.add(frozenset((one, other)))
        # what rounding leaves below zero is none; no errors can have a covariance that is truly negative
        if self.respiration and np.linalg.eigvalsh(self.matrix()).min() < -1e-9:
            raise SpecError(
                "correlation: no errors can be correlated like that: their matrix has a negative eigenvalue.",
                "Give correlations that are possible together.",
            )

    def matrix(self) -> NDArray[np.float64]:
        """Give the correlation matrix of the coefficients, in their order."""
        names = list(self.respiration)
        out = np.eye(len(names))
        for one, other, r in self.correlation:
            i, j = names.index(one), names.index(other)
            out[i, j] = out[j, i] = r
        return out

    @property
    def coefficients(self) -> tuple[str, ...]:
        """The coefficients that are in error."""
        return tuple(name for name, value in self.respiration.items() if value > 0.0)


def nep_uncertainty(
    npp: xr.DataArray,
    rh: xr.DataArray,
    sensitivity: xr.Dataset,
    *,
    npp_errors: Mapping[str, float],
    respiration_errors: Mapping[str, float],
    correlation: Sequence[tuple[str, str, float]] = (),
    dim: str = "time",
    min_years: int | None = None,
) -> xr.Dataset:
    """Carry relative errors of NPP and of the coefficients of respiration into the mean NEP of each cell.

    To first order (GUM, law of propagation), of n years t and coefficients b_j with relative standard errors r_j whose
    correlation is R_jk::

        u^2 = (s^2 + c^2) (mean NPP)^2 + y^2 sum_t NPP_t^2 / n^2 + sum_jk r_j r_k R_jk D_j D_k
        D_j = mean over t of b_j dRH_t/db_j

    with s, c and y the `systematic`, `by_cell` and `by_cell_year` errors of NPP. Errors of NPP and of respiration are
    independent of each other. What the numbers do not hold: the model itself, the error of climate, years that are not
    there.

    Parameters
    ----------
    npp, rh : xarray.DataArray
        Annual, g of carbon m-2 year-1, on the same coordinates.
    sensitivity : xarray.Dataset
        As `respiration_sensitivity` gives it, on the same coordinates.
    npp_errors : mapping of str to float
        Relative standard errors ``systematic``, ``by_cell`` and ``by_cell_year``; each must be given.
    respiration_errors : mapping of str to float
        Relative standard errors by coefficient.
    correlation : sequence of (str, str, float)
        Correlations between the errors of coefficients; those that are not named are independent.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer years of NEP are NaN; all years when left out.

    Returns
    -------
    xarray.Dataset
        `standard_error` of the mean NEP, its parts `npp` and `respiration` (their squares add up), g of carbon m-2
        year-1, and `sink_probability`, the chance that the mean is above zero if the error is normal. Lazy on dask
        input.

    Raises
    ------
    SpecError
        An error is missing, negative or of no known coefficient, a correlation is impossible, a unit is wrong, or the
        coordinates differ.

    References
    ----------
    JCGM 100:2008. Evaluation of measurement data: Guide to the expression of uncertainty in measurement, 5.1 and 5.2.
    """
    import xarray as xr

    if set(npp_errors) != set(KINDS):
        raise SpecError(f"npp_errors: {sorted(npp_errors)} are given.", f"Give each of {', '.join(KINDS)}; 0 is none.")
    errors = InputErrors(**npp_errors, respiration=dict(respiration_errors), correlation=tuple(correlation))
    absent = [name for name in errors.coefficients if name not in sensitivity]
    if absent:
        raise SpecError(
            f"The sensitivity to {', '.join(absent)} is not there.",
            "Make it with respiration_sensitivity, of the model that made rh.",
        )
    for da, name in ((npp, "npp"), (rh, "rh"), *((sensitivity[n], n) for n in errors.coefficients)):
        if da.attrs.get("units") != spec.CARBON_FLUX:
            raise SpecError(
                f"{name}: in {da.attrs.get('units')!r}, {spec.CARBON_FLUX!r} is needed.", "Convert it first."
            )
    try:
        xr.align(npp, rh, *(sensitivity[n] for n in errors.coefficients), join="exact", copy=False)
    except ValueError as error:
        raise SpecError(
            f"npp, rh and the sensitivities are not on the same coordinates ({error}).",
            "Make them of one grid and one period.",
        ) from None
    if dim not in npp.dims:
        raise SpecError(f"npp: no dimension {dim!r}.", "Name the dimension of the years with `dim=`.")
    sums = sensitivity_sums(npp, npp - rh, {n: sensitivity[n] for n in errors.coefficients}, dim=dim)
    return propagate(mean_sensitivities(sums, npp.sizes[dim] if min_years is None else min_years), errors)


def sensitivity_sums(
    npp: xr.DataArray, nep: xr.DataArray, sensitivity: Mapping[Any, xr.DataArray], *, dim: str = "time"
) -> xr.Dataset:
    """Sum over the years that have NEP; sums of several periods add up.

    Gives `n`, `nep`, `npp`, `npp_squares` and ``rh_`` with each coefficient, float64.
    """
    import xarray as xr

    total: xr.Dataset | None = None
    for step in range(nep.sizes[dim]):
        # one addition after the other: numpy's own sum depends on the shape of what it sums
        one = {
            name: da.isel({dim: step}, drop=True)
            for name, da in {"nep": nep, "npp": npp, **_named(sensitivity)}.items()
        }
        known = one["nep"].notnull()
        values = {name: da.astype("float64").where(known, 0.0) for name, da in one.items()}
        part = xr.Dataset({"n": known.astype("float64"), "npp_squares": values["npp"] * values["npp"], **values})
        total = part if total is None else total + part
    if total is None:
        raise SpecError("The series has no year.", "Give one or more.")
    return total


def _named(sensitivity: Mapping[Any, xr.DataArray]) -> dict[str, xr.DataArray]:
    return {f"rh_{name}": da for name, da in sensitivity.items()}


def mean_sensitivities(sums: xr.Dataset, min_years: int) -> xr.Dataset:
    """Give what the mean NEP changes by, for relative errors of one, from sums over years; float32.

    `nep` is the mean itself; `npp` that of an error which all years share, the mean NPP; `npp_by_year` that of errors
    of each year, sqrt(sum NPP^2) / n; ``rh_`` with a coefficient its own. NaN where there are fewer years.
    """
    import xarray as xr

    n = sums["n"].where(sums["n"] >= min_years)
    out = {str(name): da / n for name, da in sums.items() if name not in ("n", "npp_squares")}
    out["npp_by_year"] = xr.apply_ufunc(np.sqrt, sums["npp_squares"], dask="allowed") / n
    found = xr.Dataset({name: da.astype("float32") for name, da in out.items()})
    for name, title in _titles(found):
        found[name].attrs = {"long_name": title, "units": spec.CARBON_FLUX}
    return found


def _titles(means: xr.Dataset) -> Iterator[tuple[str, str]]:
    known = {
        "nep": "mean net ecosystem productivity, carbon",
        "npp": "mean net primary productivity of the years with NEP, carbon",
        "npp_by_year": "sqrt(sum of squares of annual net primary productivity) over the number of years, carbon",
    }
    for name in map(str, means):
        coefficient = name.removeprefix("rh_")
        yield (
            name,
            known.get(
                name,
                f"change of mean heterotrophic respiration, carbon, with its coefficient {coefficient}, for a relative "
                "change by one",
            ),
        )


def combine(
    npp: Any, by_cell: Any, by_cell_year: Any, respiration: Mapping[str, Any], errors: InputErrors
) -> tuple[Any, Any, Any]:
    """Give the standard errors that NPP, respiration and both together leave.

    Parameters
    ----------
    npp : array
        What an error of NPP shared by all changes the mean by, for a relative error of one.
    by_cell, by_cell_year : array
        The root of the sum of squares of what the independent errors change it by.
    respiration : mapping of str to array
        By coefficient.
    """
    of_npp = (
        (errors.systematic * npp) ** 2 + (errors.by_cell * by_cell) ** 2 + (errors.by_cell_year * by_cell_year) ** 2
    )
    parts = {name: errors.respiration[name] * respiration[name] for name in errors.coefficients}
    of_rh = npp * 0.0
    for part in parts.values():
        of_rh = of_rh + part * part
    for one, other, r in errors.correlation:
        if one in parts and other in parts:
            of_rh = of_rh + 2.0 * r * parts[one] * parts[other]
    # rounding can leave a little below zero where errors cancel
    of_rh = np.maximum(of_rh, 0.0)
    return np.sqrt(of_npp), np.sqrt(of_rh), np.sqrt(of_npp + of_rh)


def chance_of_sink(mean: Any, error: Any) -> Any:
    """Give the chance that a normal value is above zero; 1 or 0 where there is no error."""
    from nepcube.nep import _kernels

    return _kernels.chance_above_zero(np.asarray(mean, np.float64), np.asarray(error, np.float64))


def propagate(means: xr.Dataset, errors: InputErrors) -> xr.Dataset:
    """Carry the errors of the inputs into the mean NEP of each cell, from `mean_sensitivities`.

    Gives `standard_error`, `npp`, `respiration` and `sink_probability`, float32.
    """
    import xarray as xr

    names = errors.coefficients

    def of_block(nep: Any, npp: Any, by_year: Any, *others: Any) -> tuple[Any, ...]:
        wide = (np.asarray(a, np.float64) for a in others)
        npp, by_year = np.asarray(npp, np.float64), np.asarray(by_year, np.float64)
        of_npp, of_rh, both = combine(npp, npp, by_year, dict(zip(names, wide, strict=True)), errors)
        return tuple(np.asarray(a, np.float32) for a in (both, of_npp, of_rh, chance_of_sink(nep, both)))

    parts = xr.apply_ufunc(
        of_block,
        means["nep"],
        means["npp"],
        means["npp_by_year"],
        *(means[f"rh_{name}"] for name in names),
        output_core_dims=[[], [], [], []],
        dask="parallelized",
        output_dtypes=[np.float32] * 4,
        join="exact",
    )
    what = "mean net ecosystem productivity, carbon"
    titles = {
        "standard_error": f"standard error of the {what}, from the stated errors of NPP and of respiration",
        "npp": f"standard error of the {what}, from the stated errors of NPP alone",
        "respiration": f"standard error of the {what}, from the stated errors of the coefficients of respiration alone",
        "sink_probability": "chance that the mean net ecosystem productivity is above zero, with a normal error",
    }
    out = xr.Dataset(dict(zip(titles, parts, strict=True)))
    for name, title in titles.items():
        units = "1" if name == "sink_probability" else spec.CARBON_FLUX
        out[name].attrs = {"long_name": title, "units": units}
    return out
