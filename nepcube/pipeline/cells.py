"""Every statistic of a block of cells under its name in the store, as the recipe asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nepcube import nep, stats

if TYPE_CHECKING:
    import xarray as xr

    from nepcube.pipeline.analyse import Plan

Named = Iterator[tuple[str, "xr.DataArray"]]


def compute_statistics(plan: Plan, ds: xr.Dataset) -> xr.Dataset:
    """Give every statistic of a block under its name in the store."""
    import xarray as xr

    out: dict[str, xr.DataArray] = {}
    for part in (_series, _ranks, _breaks, _drivers, _causes, _sums):
        out |= dict(part(plan, ds))
    return xr.Dataset({name: var.reset_coords(drop=True) for name, var in out.items()})


def _series(plan: Plan, ds: xr.Dataset) -> Named:
    wanted, least = plan.statistics, plan.min_years
    told = stats.describe(ds["nep"], ddof=wanted.cv.ddof, min_mean=wanted.cv.min_mean, min_years=least)
    yield "nep_mean", told["mean"]
    yield "nep_count", told["n"].astype("uint16")
    yield "nep_cv", told["cv"]
    if wanted.cv.detrended:
        yield "nep_cv_detrended", told["cv_detrended"]
    if "ols" in wanted.trend:
        yield "nep_slope", told["slope"]
        for part in ("intercept", "stderr", "pvalue", "lag1"):
            yield f"nep_slope_{part}", told[part]
    for name in ("npp", "rh"):
        if name in ds:
            yield f"{name}_mean", stats.mean(ds[name], min_years=least)["mean"]
    if wanted.hurst:
        yield "nep_hurst", stats.hurst_exponent(ds["nep"], min_years=least)["hurst"]


def _ranks(plan: Plan, ds: xr.Dataset) -> Named:
    wanted, series, least = plan.statistics, ds["nep"], plan.min_years
    sen = None
    if "theil-sen" in wanted.trend:
        sen = stats.theil_sen(series, min_years=least)
        yield "nep_sen_slope", sen["slope"]
        yield "nep_sen_slope_lower", sen["lower"]
        yield "nep_sen_slope_upper", sen["upper"]
    # the classes of the trend take one variant, the plain one before others
    classed = ("original",) if "original" in wanted.mann_kendall else wanted.mann_kendall[:1]
    for method in wanted.mann_kendall:
        test = stats.mann_kendall(series, method=method, min_years=least)
        suffix = "" if method == "original" else f"_{method.replace('-', '_')}"
        yield "nep_mk_tau", test["tau"]
        yield f"nep_mk{suffix}_pvalue", test["pvalue"]
        if sen is not None and wanted.trend_classes and method in classed:
            classes = stats.trend_classes(sen["slope"], test["pvalue"], levels=wanted.trend_classes)
            yield "trend_class", classes.assign_attrs(levels=list(wanted.trend_classes), test=method)


def _breaks(plan: Plan, ds: xr.Dataset) -> Named:
    wanted, series, least = plan.statistics, ds["nep"], plan.min_years
    asked = wanted.breakpoint
    if asked is not None:
        for year in (*asked.years, *((None,) if asked.search else ())):
            fit = stats.breakpoint_trend(
                series, year, model=asked.model, min_segment=asked.min_segment, min_years=least
            )
            name = "nep_break" if year is None else f"nep_break_{year}"
            if year is None:
                yield f"{name}_year", fit["year"]
            for part in ("slope_before", "slope_before_pvalue", "slope_after", "slope_after_pvalue", "pvalue"):
                yield f"{name}_{part}", fit[part]
    if wanted.pettitt:
        test = stats.pettitt(series, min_years=least)
        for part in ("year", "k", "pvalue"):
            yield f"nep_pettitt_{part}", test[part]


def _drivers(plan: Plan, ds: xr.Dataset) -> Named:
    asked = plan.statistics.partial_correlation
    lags = _lags(plan)
    # the first years have no drivers so many years before
    least = max(plan.min_years - max(lags.values(), default=0), 1)
    drivers = {d: ds[d] for d in plan.drivers}
    relate = stats.multiple_regression if asked.regression else stats.partial_correlations
    for name in asked.of:
        fit = relate(ds[name], drivers, min_years=least, detrend=asked.detrend, lag=lags)
        what = ds[name].attrs["long_name"]
        how = {k: v for k, v in fit["r"].attrs.items() if k in ("detrended", "lag_years")}
        for driver in plan.drivers:
            one = fit.sel(driver=driver, drop=True)
            title = f"{what} with {ds[driver].attrs['long_name']}"
            held = {"controls": ", ".join(d for d in plan.drivers if d != driver)} | how
            yield f"{name}_partial_{driver}", _told(one["r"], f"partial correlation of {title}", held)
            tested = f"p-value of the partial correlation of {title} (t test)"
            yield f"{name}_partial_{driver}_pvalue", _told(one["pvalue"], tested)
            if asked.regression:
                semi, beta = one["semi_partial"], one["coefficient"]
                yield f"{name}_semi_partial_{driver}", _told(semi, f"semi-partial correlation of {title}", held)
                yield f"{name}_coefficient_{driver}", _told(beta, f"standardised coefficient of {title}", held)
        yield f"{name}_partial_count", fit["n"].astype("uint16")
        if asked.regression:
            for part in ("r2", "adjusted_r2", "r2_pvalue"):
                yield f"{name}_{part}", fit[part]
        if asked.dominant and len(plan.drivers) > 1:
            yield f"{name}_dominant_driver", stats.dominant_driver(fit, alpha=plan.statistics.alpha)


def _lags(plan: Plan) -> dict[str, int]:
    asked: Mapping[Any, int] = plan.statistics.partial_correlation.lag
    return {driver: asked.get(driver, 0) for driver in plan.drivers}


def _told(da: xr.DataArray, title: str, more: Mapping[str, Any] | None = None) -> xr.DataArray:
    da.attrs = {"long_name": title, "units": "1"} | dict(more or {})
    return da


def _causes(plan: Plan, ds: xr.Dataset) -> Named:
    wanted, least = plan.statistics, plan.min_years
    if wanted.residual_trend:
        lags = _lags(plan)
        fewer = max(least - max(lags.values(), default=0), 1)
        fit = stats.residual_trend(ds["nep"], {d: ds[d] for d in plan.drivers}, min_years=fewer, lag=lags)
        yield "nep_climate_slope", fit["climate_slope"]
        yield "nep_climate_r2", fit["r2"]
        for part in ("slope", "stderr", "pvalue"):
            yield f"nep_residual_{part}", fit[f"residual_{part}"]
    if wanted.attribution is not None:
        potential = nep.potential_npp(ds["temperature"], ds["precipitation"], model=wanted.attribution)
        fit = stats.attribution(ds["npp"], potential, min_years=least)
        yield "npp_attribution", fit["attribution"].assign_attrs(potential=wanted.attribution)
        for part in ("actual", "potential", "human"):
            yield f"npp_slope_{part}", fit[f"slope_{part}"]


def _sums(plan: Plan, ds: xr.Dataset) -> Named:
    if not plan.statistics.sufficient:
        return
    names = [n for n in ("nep", "npp", *plan.drivers) if n in ds]
    found = stats.sufficient_statistics({n: ds[n] for n in names}, min_years=plan.min_years)
    yield from stats.as_maps(found).items()
