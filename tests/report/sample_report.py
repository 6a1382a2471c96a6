"""A made-up finished run: correlated fields, blobs as regions, tables that add up. Nothing here is data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from nepcube import spec
from nepcube.grid import cell_area, coordinates, dims, spatial_coords, target_grid
from nepcube.report import Note, ReportInputs, say

HEADWATERS = (89.40, 31.59, 102.40, 36.29)
NAMES = (
    "Hoh Xil semi-desert and desert",
    "Qaidam Basin desert and salt crust",
    "Qiangtang Plateau alpine steppe",
    "River headwaters alpine meadow",
    "Eastern Qinghai farming and grazing",
    "Eastern Tibetan Plateau dark conifer forest and alpine meadow",
)
SEEDS = ((0.14, 0.75), (0.46, 0.93), (0.18, 0.4), (0.55, 0.5), (0.82, 0.86), (0.86, 0.25))
YEARS = range(2001, 2021)
BREAKS = (-0.8, -0.5, -0.3, 0.0, 0.3, 0.5, 0.8)


#: maps of codes: the table of each, and its words
CODED = {
    "trend_class": (
        "trend_classes",
        [
            *("significant decrease at 0.01", "significant decrease at 0.05", "slight decrease", "no change"),
            *("slight increase", "significant increase at 0.05", "significant increase at 0.01"),
        ],
    ),
    "nep_dominant_driver": ("dominant_drivers", ["none significant", "temperature", "precipitation", "radiation"]),
    "npp_dominant_driver": ("dominant_drivers_npp", ["none significant", "temperature", "precipitation", "radiation"]),
    "npp_attribution": (
        "attribution_classes",
        [
            *("unclassified", "rise by climate", "rise by human activity", "rise by both"),
            *("fall by climate", "fall by human activity", "fall by both"),
        ],
    ),
}
PAINT = ("#8c510a", "#bf812d", "#dfc27d", "#f5f5f5", "#80cdc1", "#35978f", "#01665e")


def smooth(shape, rng, size):
    from scipy.ndimage import gaussian_filter

    out = gaussian_filter(rng.standard_normal(shape), size, mode="reflect")
    return (out - out.mean()) / out.std()


def make_regions(labels, grid, names):
    import geopandas as gpd
    import rasterio.features
    import shapely

    shapes = {k: [] for k in range(1, len(names) + 1)}
    for shape, value in rasterio.features.shapes(labels.astype("int32"), labels > 0, transform=grid.affine):
        shapes[int(value)].append(shapely.geometry.shape(shape))
    res = abs(grid.affine.a)
    kept = [(names[k - 1], shapely.union_all(parts)) for k, parts in shapes.items() if parts]
    # neighbours keep the edge that they share
    smooth_shapes = shapely.coverage_simplify(np.array([g for _, g in kept]), 2 * res)
    return gpd.GeoDataFrame({"name": [n for n, _ in kept]}, geometry=list(smooth_shapes), crs=str(grid.crs))


def make_inputs(
    *,
    names=NAMES,
    seeds=SEEDS,
    bounds=HEADWATERS,
    resolution="2000 m",
    crs="EPSG:4326",
    drivers=spec.CLIMATE,
    empty=False,
    generated=True,
    offset=0.0,
    **more,
):
    rng = np.random.default_rng(7)
    grid = target_grid(bounds, resolution, crs)
    dy, dx = dims(grid)
    shape = tuple(grid.shape)
    v, u = np.meshgrid(np.linspace(1, 0, shape[0]), np.linspace(0, 1, shape[1]), indexing="ij")
    scale = shape[0] / 260
    wobble = 0.05 * smooth(shape, rng, 18 * scale)
    area = np.broadcast_to(np.asarray(cell_area(grid)).reshape(shape[0], -1), shape)

    labels = np.zeros(shape, "int16")
    if names:
        distance = np.stack([((u - a) * 1.5 + wobble) ** 2 + ((v - b) * 0.8 + wobble) ** 2 for a, b in seeds])
        ellipse = ((u - 0.5) / 0.49) ** 2 + ((v - 0.5) / 0.47) ** 2 + 2.2 * wobble + 0.25 * (u < 0.3) * (v < 0.25) < 1
        labels = np.where(ellipse, distance.argmin(0) + 1, 0).astype("int16")

    gap = smooth(shape, rng, 5 * scale) > 2.15
    wet = np.clip(0.75 * u + 0.35 * (1 - v) + 0.05 * smooth(shape, rng, 6 * scale), 0, None)
    years = np.array(YEARS)
    wave = rng.standard_normal(len(years)) * 8
    mean = 330 * wet**1.6 - 9 + 6 * smooth(shape, rng, 2 * scale) + offset
    slope = 0.9 * wet + 0.35 * smooth(shape, rng, 10 * scale) + 0.1
    cv = np.clip(0.12 + 0.25 * np.exp(-3 * wet) + 0.03 * smooth(shape, rng, 4 * scale), 0.02, None)
    count = np.full(shape, len(years), "float32")
    bad = gap | empty
    for field in (mean, slope, cv, count):
        field[bad] = np.nan

    def flags(data, breaks, labels_, colors):
        code = np.where(np.isnan(data), 255, np.searchsorted(breaks, data, side="right")).astype("uint8")
        attrs = spec.flag_attrs(dict(enumerate(labels_)), "uint8", colors)
        return (dy, dx), code, {**attrs, "breaks": list(breaks), "_FillValue": 255}

    slope_breaks, cv_breaks = (-0.477, 0.0, 0.484, 0.813), (0.138, 0.219, 0.339, 0.559)
    data = {
        "nep_mean": ((dy, dx), mean.astype("float32"), {"units": spec.CARBON_FLUX}),
        "nep_mean_uncertainty": ((dy, dx), (0.17 * np.abs(mean)).astype("float32"), {"units": spec.CARBON_FLUX}),
        "nep_mean_uncertainty_npp": ((dy, dx), (0.15 * np.abs(mean)).astype("float32"), {"units": spec.CARBON_FLUX}),
        "nep_mean_uncertainty_respiration": (
            (dy, dx),
            (0.08 * np.abs(mean)).astype("float32"),
            {"units": spec.CARBON_FLUX},
        ),
        "nep_sink_probability": ((dy, dx), (1 / (1 + np.exp(-mean / 9))).astype("float32"), {"units": "1"}),
        "nep_cv": ((dy, dx), cv.astype("float32")),
        "nep_slope": ((dy, dx), slope.astype("float32")),
        "nep_slope_pvalue": ((dy, dx), np.exp(-3 * np.abs(slope)).astype("float32")),
        "nep_count": ((dy, dx), count.astype("float32")),
        "slope_class": flags(slope, slope_breaks, spec.SLOPE_LABELS, spec.SLOPE_COLORS),
        "cv_class": flags(cv, cv_breaks, spec.CV_LABELS, spec.CV_COLORS),
    }
    codes = {}
    for k, (name, (_, words)) in enumerate(CODED.items()):
        field = smooth(shape, np.random.default_rng(30 + k), 9 * scale)
        codes[name] = np.where(bad, 255, np.clip((field + 1.5) / 3 * len(words), 0, len(words) - 1)).astype("uint8")
        paint = spec.flag_attrs({**dict(enumerate(words)), 255: "no data"}, "uint8", [*PAINT[: len(words)], "#d9d9d9"])
        data[name] = ((dy, dx), codes[name], paint)
    shift = {"temperature": -0.25, "precipitation": 0.6, "radiation": -0.05}
    partial = {}
    for name in drivers:
        r = np.tanh(shift[name] + 0.3 * smooth(shape, rng, 14 * scale) + 0.08 * smooth(shape, rng, 1.5 * scale))
        r[bad] = np.nan
        partial[name] = r
        t2 = r**2 * 16 / (1 - r**2)
        data[f"nep_partial_{name}"] = ((dy, dx), r.astype("float32"), {"breaks": list(BREAKS)})
        data[f"nep_partial_{name}_pvalue"] = ((dy, dx), np.exp(-t2 / 2.0).astype("float32"))
    if names:
        attrs = spec.flag_attrs({0: "outside", **dict(enumerate(names, 1))}, "int16")
        data["region"] = ((dy, dx), labels, attrs)
    maps = xr.Dataset(data, coords=spatial_coords(grid))

    whole = labels > 0 if names else np.ones(shape, bool)
    masks = {"all": whole, **{n: labels == k for k, n in enumerate(names, 1)}}
    series, summary, flag_rows = [], [], []
    classes = {"slope_classes": [], "cv_classes": [], "partial_classes": []}
    for region, mask in masks.items():
        seen = mask & np.isfinite(mean)
        w, total = area * seen, float((area * mask).sum())
        a = float(w.sum())
        if a:
            m, s = (float((np.nan_to_num(f) * w).sum() / a) for f in (mean, slope))
        else:
            m = s = np.nan
        values = m + s * (years - years.mean()) + wave * np.sqrt(max(m, 1) / 120 if np.isfinite(m) else 1)
        fitted = np.polyfit(years, values, 1)[0] if a else np.nan
        for year, value in zip(years, values, strict=True):
            sink = float((w * (np.nan_to_num(mean) + value - m > 0)).sum()) if a else 0.0
            share = sink / a if a else np.nan
            series.append(
                (
                    region,
                    year,
                    value,
                    value * a / 1e6,
                    a,
                    int(seen.sum()),
                    sink,
                    a - sink,
                    share,
                    value * 1.1,
                    -3.0,
                    sink / (total or np.nan),
                    total,
                )
            )
        low, high = (int(np.argmin(values)), int(np.argmax(values))) if a else (0, 0)
        cv_all = values.std() / m if a else np.nan
        summary.append(
            (
                region,
                values.mean(),
                values.sum(),
                fitted,
                0.0004 if region == "all" else 0.021,
                values[low],
                years[low],
                values[high],
                years[high],
                cv_all,
                a,
                total,
                values.sum() * a / 1e6,
            )
        )
        for year in years:
            for flag in (0, 5, 6):
                part = {0: a, 5: (total - a) * 0.3, 6: (total - a) * 0.7}[flag]
                flag_rows.append((region, year, flag, spec.NPP_FLAGS[flag], part, part / (total or np.nan)))
        jobs = [
            ("slope_classes", "nep_slope", slope, slope_breaks, spec.SLOPE_LABELS),
            ("cv_classes", "nep_cv", cv, cv_breaks, spec.CV_LABELS),
        ]
        jobs += [("partial_classes", n, partial[n], BREAKS, [""] * 8) for n in drivers]
        for key, variable, field, breaks, words in jobs:
            edges = [-np.inf, *breaks, np.inf] if key != "partial_classes" else [-1.0, *breaks, 1.0]
            code = np.where(np.isnan(field), -1, np.searchsorted(breaks, field, side="right"))
            with_value = float((area * (mask & (code >= 0))).sum())
            for k in range(-1, len(breaks) + 1):
                part = float((area * (mask & (code == k))).sum())
                word = "no data" if k < 0 else words[k] or f"{edges[k]:g} to {edges[k + 1]:g}"
                lower, upper = (np.nan, np.nan) if k < 0 else (edges[k], edges[k + 1])
                share = np.nan if k < 0 else part / (with_value or np.nan)
                classes[key].append((region, variable, k, word, lower, upper, part, share))
    coded = {}
    for name, (table, words) in CODED.items():
        rows = []
        for region, mask in masks.items():
            with_code = float((area * (mask & (codes[name] != 255))).sum())
            for code, word in {**dict(enumerate(words)), -1: "no data"}.items():
                part = float((area * (mask & (codes[name] == (255 if code < 0 else code)))).sum())
                rows.append((region, name, code, word, part, np.nan if code < 0 else part / (with_code or np.nan)))
        coded[table] = pd.DataFrame(rows, columns=["region", "variable", "class", "label", "area_km2", "share"])
    tests = [
        (
            "nep_slope",
            "slope (t test)",
            "Benjamini-Hochberg",
            0.05,
            9000,
            2100,
            2100 / 9000,
            0.0117,
            "six regions, 2001-2020",
        )
    ]
    tests += [
        (
            "nep_mk_3pw",
            "Mann-Kendall test (3pw)",
            "Benjamini-Hochberg",
            0.05,
            9000,
            0,
            0.0,
            np.nan,
            "six regions, 2001-2020",
        )
    ]
    test_columns = ["variable", "test", "method", "alpha", "tests", "rejected", "share", "threshold", "domain"]
    class_columns = ["region", "variable", "class", "label", "lower", "upper", "area_km2", "share"]
    tables = {
        "series": pd.DataFrame(
            series,
            columns=[
                "region",
                "year",
                "mean_gc_m2",
                "total_tgc",
                "area_km2",
                "n_cells",
                "sink_area_km2",
                "source_area_km2",
                "sink_share",
                "sink_mean_gc_m2",
                "source_mean_gc_m2",
                "sink_share_of_region",
                "region_area_km2",
            ],
        ),
        "summary": pd.DataFrame(
            summary,
            columns=[
                "region",
                "mean_gc_m2",
                "cumulative_gc_m2",
                "slope_gc_m2_yr",
                "slope_pvalue",
                "min_gc_m2",
                "min_year",
                "max_gc_m2",
                "max_year",
                "cv",
                "area_km2",
                "region_area_km2",
                "cumulative_tgc",
            ],
        ),
        **{key: pd.DataFrame(rows, columns=class_columns) for key, rows in classes.items()},
        **coded,
        "field_significance": pd.DataFrame(tests, columns=test_columns),
        "npp_flags": pd.DataFrame(flag_rows, columns=["region", "year", "flag", "label", "area_km2", "share"]),
    }
    assert coordinates(grid)[0].size == shape[0]
    return ReportInputs(
        name="three-river-headwaters",
        title="Carbon source/sink of the Three-River Headwaters region, 2001–2020",
        period=(2001, 2020),
        maps=maps,
        tables=tables,
        regions=make_regions(labels, grid, names) if names else None,
        recipe_text="recipe: 1\nname: three-river-headwaters\nperiod: [2001, 2020]\n"
        "grid:\n  bounds: [89.40, 31.59, 102.40, 36.29]\n  resolution: 500 m\n"
        "respiration: {model: pei2009, basis: annual}\n",
        provenance={
            "inputs": [
                {
                    "source": s,
                    "path": f"archive/{s}/{s}_{y}_{m:02d}.nc",
                    "bytes": 1_234_567 + y,
                    "hash": f"sha256:{y:08x}{m:02x}c0ffee",
                }
                for s in ("npp", "temperature", "precipitation", "radiation")
                for y in YEARS
                for m in range(1, 5)
            ],
            "versions": {"nepcube": "0.1.0", "python": "3.12.4", "xarray": "2026.9.0", "zarr": "3.1.6"},
            "stages": {"ingest": 341.2, "analyse": 12.63, "aggregate": 4.1, "report": 31.0},
            "created": "2026-11-23T03:00:00Z",
        },
        formulas=[
            {
                "name": "heterotrophic respiration",
                "formula": "RH = 0.22 × (exp(0.0913 T) + ln(0.3145 R + 1)) × 30 × 0.465",
                "source": "Pei et al. 2009",
            },
            {
                "name": "trend",
                "formula": "ordinary least squares on the year",
                "source": "Zhang et al. 2023, eq. 3, doi 10.6046/zrzyyg.2022042",
            },
        ],
        sources=[
            {"quantity": q, "reader": r, "product": p, "citation": c, "units": n, "resampling": "nearest"}
            for q, r, p, c, n in (
                (
                    "npp",
                    "mod17a3hgf",
                    "MOD17A3HGF v061",
                    "Running & Zhao 2021, doi 10.5067/MODIS/MOD17A3HGF.061",
                    "gC m⁻² yr⁻¹",
                ),
                (
                    "temperature",
                    "era5-land",
                    "ERA5-Land t2m",
                    "Muñoz-Sabater et al. 2021, doi 10.5194/essd-13-4349-2021",
                    "°C",
                ),
                ("precipitation", "chirps", "CHIRPS v2.0", "Funk et al. 2015, doi 10.1038/sdata.2015.66", "mm yr⁻¹"),
            )
        ],
        notes=[
            Note(say("note.circular.title"), say("note.circular.text")),
            Note(say("note.balance.title"), say("note.balance.text")),
            Note(say("note.basis.title"), say("note.basis.text", basis=say("basis.annual"))),
        ],
        generated=generated,
        **more,
    )
