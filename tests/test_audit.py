"""The audit: the reference study's contradictions by general rules, and none in numbers that belong together."""

import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nepcube.audit import Printed, Study, audit, load_study
from nepcube.errors import RecipeError

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "recipes" / "audit" / "three-river-headwaters-2023.yaml"

# the nine of the science page, each by the rule that finds it and a number that it tells
NINE = (
    ("areas of the parts <= the area", "541100 km2"),
    ("areas of the parts <= the area", "92% of its bounding box"),
    ("share = area / sum of the areas", "73.11 %, not 99.89"),
    ("mean of the parts, weighted, = mean of the whole", "121.171"),
    ("mean of the parts, weighted, = mean of the whole", "188.155"),
    ("NEP >= -RH, since NPP >= 0", "-61.70 is below -25.31"),
    ("mean slope of pixels = slope of the mean series", "1.29 by pixel and 1.13 by series"),
    ("mean within what the class bounds allow", "1.29 is printed"),
    ("mean x years = cumulative", "227.264"),
    ("mean x years = cumulative", "258.923"),
    ("classes leave out water, ice and barren land", "302500 km2"),
    ("-1 <= correlation <= 1", "-8, -5, -3, 3, 5, 8 lie outside"),
)


@pytest.mark.parametrize(("rule", "told"), NINE)
def test_the_reference_study(rule, told):
    assert [c for c in audit(load_study(REFERENCE)) if c.rule == rule and told in c.what]


def test_the_reference_study_breaks_these_rules_and_no_others():
    found = audit(load_study(REFERENCE))
    assert {c.rule for c in found} == {rule for rule, _ in NINE} | {"natural breaks are values of the data"}
    # the regions whose sums agree are not blamed
    assert [c.where for c in found if c.rule == "mean x years = cumulative"] == [
        "series.Eastern Qinghai farming and grazing",
        "series.Eastern Tibetan dark conifer and meadow",
    ]


def test_no_rule_knows_a_study():
    code = "".join(p.read_text() for p in (ROOT / "nepcube" / "audit").glob("*.py"))
    for number in ("120.93", "302500", "30.25", "188.43", "61.7", "1.29", "Headwaters", "Zhang", "0.813"):
        assert number not in code


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("190.50", 190.495, 190.505),
        ("190.5", 190.45, 190.55),
        ("39.56e4", 395550, 395650),
        ("-0.477", -0.4775, -0.4765),
        ("302,500", 302499.5, 302500.5),
        ("−61.70", -61.705, -61.695),
    ],
)
def test_a_printed_number_is_known_to_half_its_last_digit(text, low, high):
    number = Printed.of(text)
    assert number.low == pytest.approx(low, abs=1e-9)
    assert number.high == pytest.approx(high, abs=1e-9)


def truthful(seed, digits):
    """A study whose numbers belong together, printed with a few digits."""
    rng = np.random.default_rng(seed)
    n, years = 400, 20
    area = rng.uniform(0.15, 0.25, n) * 1000
    slope = rng.normal(0.5, 1.0, n)
    nep = rng.normal(20, 15, n)[:, None] + slope[:, None] * (np.arange(years) - 9.5) + rng.normal(0, 5, (n, years))
    fit = np.polynomial.polynomial.polyfit(np.arange(years), nep.T, 1)[1]
    mean, series = nep.mean(1), (nep * area[:, None]).sum(0) / area.sum()
    edges = np.quantile(fit, [0, 0.2, 0.4, 0.6, 0.8, 1])
    of = np.clip(np.searchsorted(edges, fit, "right") - 1, 0, 4)

    def p(value, d=digits):
        return f"{value:.{d}f}"

    def part(which):
        return {
            "area": p(area[which].sum()),
            "share": p(100 * area[which].sum() / area.sum()),
            "mean": p((mean * area)[which].sum() / area[which].sum()),
        }

    lows = np.floor(edges[:-1] * 1e6) / 1e6
    highs = np.append(lows[1:], np.ceil(edges[-1] * 1e6) / 1e6)
    return {
        "audit": "1",
        "study": "made",
        "period": ["2001", "2020"],
        "area": p(area.sum() * 1.1),
        "respiration": {"temperature": ["-20", "30"], "precipitation": ["0", "2000"]},
        "series": {
            "all": {
                "mean": p(series.mean()),
                "cumulative": p(series.sum()),
                "slope": p(np.polyfit(np.arange(years), series, 1)[0]),
                "slope_of_pixels": p((fit * area).sum() / area.sum()),
                "min": p(series.min()),
                "max": p(series.max()),
            }
        },
        "parts": {"sign": {"sink": part(mean > 0), "source": part(mean <= 0)}},
        "classes": {
            "slope": {
                "mean": p((fit * area).sum() / area.sum()),
                "method": "natural-breaks",
                "classes": [[f"{lows[k]:.6f}", f"{highs[k]:.6f}", *list(part(of == k).values())[:2]] for k in range(5)],
            }
        },
        "correlation_breaks": {"partial": ["-0.8", "-0.5", "0", "0.5", "0.8"]},
    }


@given(seed=st.integers(0, 10_000), digits=st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_numbers_that_belong_together_are_not_blamed(seed, digits):
    study = truthful(seed, digits)
    assert audit(Study.model_validate(study)) == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda s: s["series"]["all"].update(cumulative="9999.0"), "mean x years = cumulative"),
        (lambda s: s["series"]["all"].update(slope="2.5"), "mean slope of pixels = slope of the mean series"),
        (lambda s: s["series"]["all"].update(max="0.0"), "minimum <= mean <= maximum"),
        (lambda s: s.update(area="1000"), "areas of the parts <= the area"),
        (lambda s: s["parts"]["sign"]["sink"].update(share="12.5"), "share = area / sum of the areas"),
        (lambda s: s["parts"]["sign"]["sink"].update(share="12.5"), "shares sum to 100 %"),
        (lambda s: s["parts"]["sign"]["sink"].update(mean="99.0"), "mean of the parts, weighted, = mean of the whole"),
        (lambda s: s["parts"]["sign"]["source"].update(mean="-400"), "NEP >= -RH, since NPP >= 0"),
        (lambda s: s["classes"]["slope"].update(mean="7.0"), "mean within what the class bounds allow"),
        (lambda s: s["classes"]["slope"]["classes"].pop(2), "classes follow each other"),
        (lambda s: s["correlation_breaks"].update(partial=["-3", "3"]), "-1 <= correlation <= 1"),
    ],
)
def test_one_false_number_is_found(change, rule):
    study = truthful(3, 3)
    change(study)
    assert rule in {c.rule for c in audit(Study.model_validate(study))}


def test_means_of_the_extreme_weights():
    """The bound of a weighted mean is that of trying every corner."""
    import itertools

    from nepcube.audit.rules import _weighted

    rng = np.random.default_rng(4)
    for _ in range(50):
        values = [Printed.of(f"{v:.1f}") for v in rng.normal(0, 3, 4)]
        weights = [Printed.of(f"{w:.0f}") for w in rng.uniform(1, 9, 4)]
        corners = [
            sum(a * b for a, b in zip(v, w, strict=True)) / sum(w)
            for v in itertools.product(*((x.low, x.high) for x in values))
            for w in itertools.product(*((x.low, x.high) for x in weights))
        ]
        low, high = _weighted(values, weights)
        assert math.isclose(low, min(corners), rel_tol=1e-12, abs_tol=1e-12)
        assert math.isclose(high, max(corners), rel_tol=1e-12, abs_tol=1e-12)


def test_the_command(cli, tmp_path):
    told = cli("audit", REFERENCE)
    assert told.code == 2
    assert "mean x years = cumulative" in told.out
    assert told.err[0].endswith("12 contradiction(s) in 10 rule(s).")
    (tmp_path / "good.yaml").write_text(yaml.safe_dump(truthful(1, 2)))
    told = cli("audit", tmp_path / "good.yaml")
    assert (told.code, told.out[-1]) == (0, "Nothing contradicts itself.")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("audit: 1\nstudy: x\nperiod: [2001, 2020]\nserie: {}\n", "serie: Extra inputs are not permitted"),
        ("audit: 1\nstudy: x\nperiod: [2001, 2020]\narea: big\n", "area: Value error, 'big' is not a number"),
        ("audit: 1\nstudy: x\nperiod: [2001, 2020]\narea: nan\n", "area: Value error, 'nan' is not a number"),
        ("- 1\n", "it is a mapping of keys"),
        ("a: [\n", "this is not YAML"),
        ("audit: 1\nstudy: x\nperiod: [2001, 2020]\nclasses: {s: {classes: [[0]]}}\n", "Field required"),
    ],
)
def test_a_file_that_is_none(tmp_path, text, what):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(RecipeError) as told:
        load_study(tmp_path / "a.yaml")
    assert str(tmp_path / "a.yaml") in told.value.what
    assert what in told.value.what
    with pytest.raises(RecipeError, match="cannot be read"):
        load_study(tmp_path / "none.yaml")
