"""What a run did, in words: formulas, sources, and what a reader must know before using the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nepcube import nep, sources, spec, store
from nepcube import recipe as recipes
from nepcube.pipeline import provenance
from nepcube.years import year_comment

if TYPE_CHECKING:
    import pandas as pd

    from nepcube.pipeline.context import Run


# what a variant of the Mann-Kendall test does beside it, and who made it
_MANN_KENDALL = {
    "original": ("", ""),
    "pre-whitened": ("; of y_t - r y_(t-1), r the lag-1 autocorrelation", "; Kulkarni and von Storch 1995"),
    "trend-free-pre-whitened": (
        "; pre-whitened after Sen's slope is taken away, which is put back",
        "; Yue, S. et al. 2002. Hydrol. Process. 16, 1807-1829.",
    ),
    "hamed-rao": (
        "; variance inflated by significant autocorrelations of ranks",
        "; Hamed, K. H., Rao, A. R. 1998. J. Hydrol. 204, 182-196.",
    ),
    "yue-wang": (
        "; variance inflated by significant autocorrelations",
        "; Yue, S., Wang, C. 2004. Water Resour. Manag. 18, 201-218.",
    ),
    "3pw": (
        "; larger p of pre-whitening and trend-free pre-whitening",
        "; Collaud Coen, M. et al. 2020. Atmos. Meas. Tech. 13, 6945-6964.",
    ),
}


def formulas(run: Run) -> list[dict[str, str]]:
    """List the formulas that the run used."""
    recipe = run.recipe
    model = nep.respiration_model(recipe.respiration.model)
    out = [
        {"name": "Net ecosystem productivity", "formula": nep.FORMULA, "source": nep.BALANCE_CITATION},
        {
            "name": f"Heterotrophic respiration ({recipe.respiration.basis} basis)",
            "formula": model.formulas[recipe.respiration.basis],
            "source": model.citation,
        },
    ]
    npp = recipe.sources.npp
    if isinstance(npp, recipes.ModelSource):
        out.append(
            {
                "name": f"Potential net primary productivity ({npp.model}), carbon fraction c = {npp.carbon_fraction}",
                "formula": nep.POTENTIAL_FORMULAS[npp.model],
                "source": nep.POTENTIAL_CITATIONS[npp.model],
            }
        )
    wanted = recipe.statistics
    n = len(run.years)
    if "ols" in wanted.trend:
        out.append(
            {
                "name": "Trend (ordinary least squares)",
                "formula": "slope = sum((t - mean t)(y - mean y)) / sum((t - mean t)^2); p from t with "
                f"n - 2 = {n - 2} degrees of freedom where all years are there",
                "source": "Wilks, D. S. 2011. Statistical Methods in the Atmospheric Sciences, 3rd ed.",
            }
        )
    if "theil-sen" in wanted.trend:
        out.append(
            {
                "name": "Theil-Sen slope",
                "formula": "median of (y_j - y_i) / (t_j - t_i) over i < j",
                "source": "Sen, P. K. 1968. J. Am. Stat. Assoc. 63, 1379-1389.",
            }
        )
    out.extend(
        {
            "name": f"Mann-Kendall test ({method})",
            "formula": "S = sum of sign(y_j - y_i), i < j; normal approximation, ties and continuity corrected"
            + _MANN_KENDALL[method][0],
            "source": "Mann 1945; Kendall 1975" + _MANN_KENDALL[method][1],
        }
        for method in wanted.mann_kendall
    )
    out.append(
        {
            "name": "Coefficient of variation",
            "formula": f"sd (ddof {wanted.cv.ddof}) / mean, masked where |mean| < {wanted.cv.min_mean:g} gC m-2 yr-1",
            "source": "Zhang, Z. et al. 2023, eq. 4 (whose print multiplies by the mean).",
        }
    )
    out += _more_formulas(recipe)
    if "natural-breaks" in (recipe.classes.slope.method, recipe.classes.cv.method):
        out.append(
            {
                "name": "Natural breaks",
                "formula": "least within-class sum of squares, weighted by area, over all cells of the regions",
                "source": "Fisher, W. D. 1958. J. Am. Stat. Assoc. 53, 789-798; Jenks, G. F. 1977.",
            }
        )
    return out


def _more_formulas(recipe: recipes.Recipe) -> list[dict[str, str]]:
    wanted = recipe.statistics
    asked = wanted.partial_correlation
    k = len(recipe.correlates) - 1 + asked.detrend
    others = "the years and the other drivers" if asked.detrend else "the other drivers"
    lags = "".join(f"; {driver} of {years} year(s) before" for driver, years in asked.lag.items() if years)
    out = [
        (
            f"Partial correlation of order {k}",
            f"r of the residuals after {others}; t = r sqrt((n - 2 - {k}) / (1 - r^2)) with n - 2 - {k} degrees of "
            f"freedom{lags}",
            "Fisher, R. A. 1924. Metron 3, 329-332.",
        )
    ]
    if wanted.cv.detrended:
        out.append(("Detrended coefficient of variation", "sqrt(RSS / (n - 2)) / mean, RSS around the line", ""))
    if wanted.breakpoint is not None:
        years = ", ".join(map(str, wanted.breakpoint.years)) or "none"
        sought = (
            "; and in the year of the least RSS, p by 10,000 series of white noise" if wanted.breakpoint.search else ""
        )
        out.append(
            (
                f"Break of the trend ({wanted.breakpoint.model})",
                f"F = ((RSS1 - RSS2) / m) / (RSS2 / (n - 2 - m)), in the named years ({years}){sought}",
                "Chow, G. C. 1960. Econometrica 28, 591-605; Andrews, D. W. K. 1993. Econometrica 61, 821-856.",
            )
        )
    if wanted.pettitt:
        out.append(
            (
                "Pettitt's test",
                "K = max |sum of sign(y_j - y_i), i < t <= j|; p = 2 exp(-6 K^2 / (n^3 + n^2))",
                "Pettitt, A. N. 1979. Appl. Stat. 28, 126-135.",
            )
        )
    if wanted.hurst:
        out.append(
            (
                "Hurst exponent",
                "1/2 + slope of log(mean R/S) - log(E) on log w",
                "Hurst 1951; Anis, A. A., Lloyd, E. H. 1976. Biometrika 63, 111-116.",
            )
        )
    if wanted.residual_trend:
        out.append(
            (
                "Residual trend",
                "slope of y - y(climate), t with n - 2 - m degrees of freedom",
                "Evans, J., Geerken, R. 2004. J. Arid Environ. 57, 535-554.",
            )
        )
    if wanted.attribution is not None:
        out.append(
            (
                f"Change of NPP by cause, potential NPP of {wanted.attribution}",
                "six classes by the signs of the slopes of NPP, of potential NPP and of their difference; "
                + nep.POTENTIAL_FORMULAS[wanted.attribution],
                "Xu, D. Y. et al. 2009. Int. J. Remote Sens. 30, 5411-5428; "
                + nep.POTENTIAL_CITATIONS[wanted.attribution],
            )
        )
    if wanted.field_significance:
        out.append(
            (
                "Field significance",
                f"the largest p of rank k with p <= k {wanted.alpha:g} / m, over the m cells of the regions",
                "Benjamini, Y., Hochberg, Y. 1995. J. R. Stat. Soc. B 57, 289-300; Wilks, D. S. 2016. "
                "Bull. Am. Meteorol. Soc. 97, 2263-2273.",
            )
        )
    return [{"name": name, "formula": formula, "source": source} for name, formula, source in out]


def source_list(run: Run) -> list[dict[str, str]]:
    """List where each quantity comes from."""
    cube = store.open_cube(run.out, block=run.cube.chunk)
    out = []
    for name in run.yearly_inputs:
        source = getattr(run.recipe.sources, name)
        if isinstance(source, recipes.ReaderSource):
            names = list(dict.fromkeys(r.source.reader for r in source.records(run.recipe.period)))
            record = {
                "reader": ", ".join(names),
                "citation": " ".join(sources.reader(n).citation for n in names),
                "resampling": str(cube[name].attrs.get("resampling", source.resampling)),
            }
        else:
            record = {"reader": source.model, "citation": nep.POTENTIAL_CITATIONS[source.model], "resampling": "none"}
        product = str(cube[name].attrs.get("product", ""))
        out.append({"quantity": name, "product": product, "units": spec.CUBE[name].units, **record})
    return out


def _respiration_note(model: str, basis: str) -> str:
    told = f"Heterotrophic respiration was computed on the {basis} basis"
    if len(nep.respiration_model(model).formulas) == 1:
        return f"{told} ({model}). Models of respiration differ severalfold, and so does NEP: compare with care."
    return (
        f"{told}. The three bases (annual, monthly, daily) of the "
        "same formula differ severalfold, and so does NEP: compare with other studies on the same basis only."
    )


def notes(run: Run, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Say what a reader must know before using the numbers."""
    recipe = run.recipe
    basis = recipe.respiration.basis
    out = [
        "NEP is not the net biome balance: fire, harvest, grazing and lateral export of carbon are not in it.",
        _respiration_note(recipe.respiration.model, basis),
        "NEP contains respiration, which is a function of temperature and precipitation: its correlations with these "
        "drivers are partly built in.",
        "Climate of 0.05 to 0.1 degree is repeated on many cells, so neighbouring cells are not independent tests: "
        "shares of significant cells are not to be read as numbers of independent findings.",
    ]
    if recipe.sources.radiation is not None:
        out.append(
            "Net surface solar radiation contains the albedo, and so snow and greening: its correlation is not one "
            "with incoming radiation alone."
        )
    if run.potential:
        out.append("NPP was computed from climate: NEP is a potential one, and its drivers are in it by formula.")
    else:
        out += _record_notes(run)
    out += _climate_notes(run)
    if len(run.years) < 20:
        out.append(f"The period has {len(run.years)} years: trends and correlations of so few are uncertain.")
    if "respiration_bases" in tables:
        by_basis = "; ".join(
            f"{r.basis} RH {r.rh_mean_gc_m2:.1f}, NEP {r.nep_mean_gc_m2:.1f}" + (" (this run)" if r.used else "")
            for r in tables["respiration_bases"].itertuples()
        )
        cells = int(tables["respiration_bases"]["n_cells"].iloc[0])
        out.append(f"Mean of the region in gC m-2 yr-1 by basis, from a sample of {cells} cells: {by_basis}.")
    masked = _area_without_cv(tables)
    if masked > 0:
        out.append(
            f"The coefficient of variation is not given on {masked:.0f} km2 with a mean within "
            f"{recipe.statistics.cv.min_mean:g} gC m-2 yr-1 of zero, where it says nothing."
        )
    out += provenance.read(run.out).get("regions", [])
    share = _share_without_data(tables)
    out.append(
        f"{share:.2%} of the area has no NEP in the maps, series and summary: a cell counts where it has data in at "
        f"least {recipe.min_years} of {len(run.years)} years."
    )
    return out


def _record_notes(run: Run) -> list[str]:
    records = run.recipe.sources.readers()["npp"].records(run.recipe.period)
    readers = {r.source.reader for r in records}
    out = []
    if readers & {"mod17a3hgf", "vnp17a3hgf"}:
        out.append(
            "MOD17 and its VIIRS successor are computed from reanalysis temperature, vapour pressure deficit and "
            "radiation: they are no independent check of climate correlations."
        )
    if "mod17a3hgf" in readers:
        out.append("Terra's orbit drifts in the late years of the MODIS record.")
    if len(records) > 1:
        told = ", ".join(f"{r.source.reader} {r.years[0]}-{r.years[1]}" for r in records)
        out.append(
            f"Two records of NPP were joined by the recipe's choice ({told}). They are not calibrated to each other: a "
            "trend across the join contains the step between them."
        )
    return out


def _climate_notes(run: Run) -> list[str]:
    sources = run.recipe.sources
    out = []
    if sources.year_start != 1:
        out.append(
            f"Years of climate do not begin in January. {year_comment(sources.year_start)} The productivity "
            "of a year is that of its provider's year."
        )
    if sources.temperature.elevation is not None:
        out.append(
            "Temperature was brought to the height of the cells with a lapse rate of "
            f"{sources.temperature.elevation.lapse_rate:g} K km-1, the same everywhere and in every season."
        )
    return out


def _area_without_cv(tables: Mapping[str, pd.DataFrame]) -> float:
    if "cv_classes" not in tables:
        return 0.0
    classes, series = tables["cv_classes"], tables["series"]
    whole = series[series["region"] == "all"]
    missing = classes[(classes["region"] == "all") & (classes["class"] == -1)]["area_km2"].sum()
    return float(missing - (whole["region_area_km2"].iloc[0] - whole["area_km2"].max()))


def _share_without_data(tables: Mapping[str, pd.DataFrame]) -> float:
    series = tables["series"]
    whole = series[series["region"] == "all"]
    return 1 - float(whole["area_km2"].max() / whole["region_area_km2"].iloc[0])
