"""The rules: what cannot be true together, whoever printed it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from nepcube.audit.study import Part, Printed, Respiration, Study


@dataclass(frozen=True)
class Contradiction:
    """Numbers that cannot be true together.

    Attributes
    ----------
    rule : str
        The rule that they break.
    where : str
        The keys of the file that hold them.
    what : str
        Both sides, with what each would have to be.
    """

    rule: str
    where: str
    what: str


def audit(study: Study) -> list[Contradiction]:
    """Hold the numbers of a study against each other.

    Each comparison allows for the rounding of everything in it, so that a finding cannot be rounding alone.

    Parameters
    ----------
    study : Study

    Returns
    -------
    list of Contradiction
        In the order of the rules; empty where nothing contradicts itself.
    """
    return [found for rule in _RULES for found in rule(study)]


def _sum_of_years(study: Study) -> Iterator[Contradiction]:
    years = study.period[1] - study.period[0] + 1
    for name, s in study.series.items():
        if s.mean is None or s.cumulative is None:
            continue
        if not _meet(_scaled(s.mean, years), (s.cumulative.low, s.cumulative.high)):
            yield Contradiction(
                "mean x years = cumulative",
                f"series.{name}",
                f"the mean {s.mean} over {years} years makes {s.mean.low * years:.6g} to {s.mean.high * years:.6g}, "
                f"{s.cumulative} is printed: a mean of {s.cumulative.value / years:.6g}",
            )


def _mean_within_extremes(study: Study) -> Iterator[Contradiction]:
    for name, s in study.series.items():
        low = s.min.low if s.min is not None else -math.inf
        high = s.max.high if s.max is not None else math.inf
        if (s.mean is not None and not (low <= s.mean.high and s.mean.low <= high)) or low > high:
            yield Contradiction(
                "minimum <= mean <= maximum", f"series.{name}", f"the mean {s.mean} is not within {s.min} to {s.max}"
            )


def _slopes_agree(study: Study) -> Iterator[Contradiction]:
    for name, s in study.series.items():
        if s.slope is None or s.slope_of_pixels is None:
            continue
        if not _meet((s.slope.low, s.slope.high), (s.slope_of_pixels.low, s.slope_of_pixels.high)):
            yield Contradiction(
                "mean slope of pixels = slope of the mean series",
                f"series.{name}",
                f"{s.slope_of_pixels} by pixel and {s.slope} by series: least squares is linear, so the two are one "
                "number where the data are the same",
            )


def _parts_make_the_whole(study: Study) -> Iterator[Contradiction]:
    for name, parts in study.parts.items():
        areas = [p.area for p in parts.values() if p.area is not None]
        if len(areas) < len(parts) or study.area is None:
            continue
        low, high = sum(a.low for a in areas), sum(a.high for a in areas)
        if low > study.area.high or (study.non_data == "false" and high < study.area.low):
            more = ""
            if study.bounds is not None:
                more = f"; they are {sum(a.value for a in areas) / _box_area(study.bounds):.0%} of its bounding box"
            yield Contradiction(
                "areas of the parts <= the area",
                f"parts.{name}",
                f"{' + '.join(str(a) for a in areas)} = {sum(a.value for a in areas):.6g} km2 of a region of "
                f"{study.area} km2{more}",
            )


def _areas_and_shares(study: Study) -> Iterator[Contradiction]:
    groups = {f"parts.{n}": list(parts.values()) for n, parts in study.parts.items()}
    groups |= {f"classes.{n}": [Part(area=c.area, share=c.share) for c in k.classes] for n, k in study.classes.items()}
    for where, parts in groups.items():
        both = [(p.area, p.share) for p in parts if p.area is not None and p.share is not None]
        if len(both) < len(parts):
            continue
        low, high = sum(a.low for a, _ in both), sum(a.high for a, _ in both)
        wrong = [
            f"{a} km2 are {100 * a.value / sum(x.value for x, _ in both):.4g} %, not {s}"
            for a, s in both
            if not _meet((100 * a.low / high, 100 * a.high / low), (s.low, s.high))
        ]
        if wrong:
            yield Contradiction("share = area / sum of the areas", where, "; ".join(wrong))


def _shares_sum(study: Study) -> Iterator[Contradiction]:
    groups = {f"parts.{n}": [p.share for p in parts.values()] for n, parts in study.parts.items()}
    groups |= {f"classes.{n}": [c.share for c in k.classes] for n, k in study.classes.items()}
    for where, given in groups.items():
        shares = [s for s in given if s is not None]
        if len(shares) == len(given) and not _meet(
            (sum(s.low for s in shares), sum(s.high for s in shares)), (100, 100)
        ):
            yield Contradiction("shares sum to 100 %", where, f"they sum to {sum(s.value for s in shares):.6g} %")


def _mean_of_the_parts(study: Study) -> Iterator[Contradiction]:
    whole = study.series.get("all")
    if whole is None or whole.mean is None:
        return
    for name, parts in study.parts.items():
        means = [p.mean for p in parts.values() if p.mean is not None]
        if len(means) < len(parts):
            continue
        for by, weights in (("areas", [p.area for p in parts.values()]), ("shares", [p.share for p in parts.values()])):
            known = [w for w in weights if w is not None]
            if len(known) < len(weights):
                continue
            low, high = _weighted(means, known)
            if not _meet((low, high), (whole.mean.low, whole.mean.high)):
                middle = sum(m.value * w.value for m, w in zip(means, known, strict=True)) / sum(w.value for w in known)
                yield Contradiction(
                    "mean of the parts, weighted, = mean of the whole",
                    f"parts.{name}, series.all",
                    f"weighted with the printed {by} the means make {middle:.6g} ({low:.6g} to {high:.6g}), "
                    f"{whole.mean} is printed",
                )


def _possible_source(study: Study) -> Iterator[Contradiction]:
    if study.respiration is None:
        return
    most = _most_respiration(study.respiration)
    t, p = study.respiration.temperature[1], study.respiration.precipitation[1]
    named = [(f"parts.{g}.{n}", part.mean) for g, parts in study.parts.items() for n, part in parts.items()]
    named += [(f"series.{n}.min", s.min) for n, s in study.series.items()]
    for where, value in named:
        if value is not None and value.high < -most:
            yield Contradiction(
                "NEP >= -RH, since NPP >= 0",
                where,
                f"{value} is below -{most:.4g}: respiration ({study.respiration.model}, {study.respiration.basis}) is "
                f"at most {most:.4g} at {t:g} degC and {p:g} mm",
            )


def _class_bounds(study: Study) -> Iterator[Contradiction]:
    for name, k in study.classes.items():
        weights = [c.area or c.share for c in k.classes]
        known = [w for w in weights if w is not None]
        if k.mean is None or len(known) < len(weights):
            continue
        least, _ = _weighted([c.lower for c in k.classes], known)
        _, most = _weighted([c.upper for c in k.classes], known)
        if not _meet((least, most), (k.mean.low, k.mean.high)):
            yield Contradiction(
                "mean within what the class bounds allow",
                f"classes.{name}",
                f"classes within these bounds have a mean of {least:.4g} to {most:.4g}, {k.mean} is printed",
            )


def _classes_follow(study: Study) -> Iterator[Contradiction]:
    for name, k in study.classes.items():
        for below, above in zip(k.classes, k.classes[1:], strict=False):
            if below.upper.value != above.lower.value or below.lower.value >= below.upper.value:
                yield Contradiction(
                    "classes follow each other",
                    f"classes.{name}",
                    f"[{below.lower}, {below.upper}) and [{above.lower}, {above.upper}) leave a gap or overlap",
                )


def _edited_breaks(study: Study) -> Iterator[Contradiction]:
    for name, k in study.classes.items():
        inner = [c.lower for c in k.classes[1:]]
        if k.method == "natural-breaks" and any(b.value == 0 and b.half <= 0.5 for b in inner):
            yield Contradiction(
                "natural breaks are values of the data",
                f"classes.{name}",
                "a break is exactly 0, which no optimisation over measured values gives: the breaks were edited",
            )


def _non_data(study: Study) -> Iterator[Contradiction]:
    if study.non_data == "false" or study.area is None:
        return
    full = []
    for name, k in study.classes.items():
        areas = [c.area for c in k.classes if c.area is not None]
        if len(areas) < len(k.classes) or k.covers == "data":
            continue
        total = sum(a.value for a in areas)
        if _meet((sum(a.low for a in areas), sum(a.high for a in areas)), (study.area.value, study.area.value)):
            full.append((name, total))
    if full:
        yield Contradiction(
            "classes leave out water, ice and barren land",
            ", ".join(f"classes.{name}" for name, _ in full),
            f"the classes cover {full[0][1]:.6g} km2, all of the region, of a product that has no value for lakes, ice "
            "and barren land: they were classified as data, or the areas scaled",
        )


def _correlation_range(study: Study) -> Iterator[Contradiction]:
    for name, breaks in study.correlation_breaks.items():
        outside = [b for b in breaks if abs(b.value) > 1]
        if outside:
            yield Contradiction(
                "-1 <= correlation <= 1", f"correlation_breaks.{name}", f"{', '.join(map(str, outside))} lie outside"
            )


_RULES = (
    _parts_make_the_whole, _areas_and_shares, _shares_sum, _mean_of_the_parts, _possible_source, _slopes_agree,
    _class_bounds, _classes_follow, _edited_breaks, _sum_of_years, _mean_within_extremes, _non_data, _correlation_range,
)  # fmt: skip


def _scaled(number: Printed, factor: float) -> tuple[float, float]:
    return number.low * factor, number.high * factor


def _meet(a: tuple[float, float], b: tuple[float, float]) -> bool:
    slack = 1e-9 * max(1.0, abs(a[0]), abs(b[0]))
    return a[0] <= b[1] + slack and b[0] <= a[1] + slack


def _weighted(values: list[Printed], weights: list[Printed]) -> tuple[float, float]:
    # the least and the greatest weighted mean: it is monotone in each value, and in each weight for given values
    def extreme(sign: int) -> float:
        ends = [v.low if sign < 0 else v.high for v in values]
        mean = sum(e * w.value for e, w in zip(ends, weights, strict=True)) / sum(w.value for w in weights)
        for _ in range(100):
            # more weight for what lies on the wanted side of the mean
            chosen = [w.high if (e - mean) * sign > 0 else max(w.low, 0.0) for e, w in zip(ends, weights, strict=True)]
            better = sum(e * w for e, w in zip(ends, chosen, strict=True)) / sum(chosen)
            if abs(better - mean) <= 1e-15 * max(1.0, abs(mean)):
                break
            mean = better
        return mean

    return extreme(-1), extreme(1)


def _box_area(bounds: tuple[float, float, float, float]) -> float:
    # km2 between parallels and meridians, on the sphere of equal area (radius 6371.0072 km)
    west, south, east, north = bounds
    return math.radians(east - west) * (math.sin(math.radians(north)) - math.sin(math.radians(south))) * 6371.0072**2


def _most_respiration(r: Respiration) -> float:
    import xarray as xr

    from nepcube import nep

    ends = (xr.DataArray([v], dims="time", attrs={"units": u}) for v, u in (
        (r.temperature[1], "degC"), (r.precipitation[1], "mm year-1"),
    ))  # fmt: skip
    return float(nep.heterotrophic_respiration(*ends, basis=r.basis, model=r.model).squeeze())
