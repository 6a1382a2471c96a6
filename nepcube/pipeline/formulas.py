"""The formulas that a run used, with their sources, from the recipe that was run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nepcube import nep
from nepcube import recipe as recipes
from nepcube.report import Told, known, say
from nepcube.report.saying import has_words

if TYPE_CHECKING:
    from nepcube.pipeline.context import Run

_MANN_KENDALL = "Mann, H. B. 1945. Econometrica 13, 245-259; Kendall, M. G. 1975. Rank Correlation Methods, 4th ed."
# who made a variant of the Mann-Kendall test
_VARIANTS = {
    "original": "",
    "pre-whitened": "; Kulkarni, A., von Storch, H. 1995. Meteorol. Z. 4, 82-85.",
    "trend-free-pre-whitened": "; Yue, S. et al. 2002. Hydrol. Process. 16, 1807-1829.",
    "hamed-rao": "; Hamed, K. H., Rao, A. R. 1998. J. Hydrol. 204, 182-196.",
    "yue-wang": "; Yue, S., Wang, C. 2004. Water Resour. Manag. 18, 201-218.",
    "3pw": "; Collaud Coen, M. et al. 2020. Atmos. Meas. Tech. 13, 6945-6964.",
}


def _record(name: Told, formula: Told, source: Told) -> dict[str, Told]:
    return {"name": name, "formula": formula, "source": source}


def _typeset(formula: str) -> str:
    # the formulas of models are plain text
    return formula.replace(" x ", " × ").replace(" - ", " − ").replace("^2", "²").replace("^3", "³")


def formulas(run: Run) -> list[dict[str, Told]]:
    """List the formulas that the run used."""
    recipe = run.recipe
    asked = recipe.respiration
    model = nep.respiration_model(asked.model)
    key = f"formula.{asked.model}_{asked.basis}"
    rh: Told = say(key) if has_words(key) else _typeset(model.formulas[asked.basis])
    out = [
        _record(say("formula.nep"), say("formula.nep_text"), nep.BALANCE_CITATION),
        _record(say("formula.rh", basis=known("basis", asked.basis)), rh, model.citation),
    ]
    npp = recipe.sources.npp
    if isinstance(npp, recipes.ModelSource):
        name = say("formula.npp", model=npp.model, fraction=f"{npp.carbon_fraction:g}")
        out.append(_record(name, _typeset(nep.POTENTIAL_FORMULAS[npp.model]), nep.POTENTIAL_CITATIONS[npp.model]))
    wanted = recipe.statistics
    if "ols" in wanted.trend:
        text = say("formula.ols_text", freedom=len(run.years) - 2)
        source = "Wilks, D. S. 2011. Statistical Methods in the Atmospheric Sciences, 3rd ed."
        out.append(_record(say("formula.ols"), text, source))
    if "theil-sen" in wanted.trend:
        source = "Sen, P. K. 1968. J. Am. Stat. Assoc. 63, 1379-1389."
        out.append(_record(say("formula.sen"), say("formula.sen_text"), source))
    for variant in wanted.mann_kendall:
        name = say("formula.mk", variant=known("variant", variant))
        out.append(_record(name, say(f"formula.mk_{variant}"), _MANN_KENDALL + _VARIANTS[variant]))
    text = say("formula.cv_text", ddof=wanted.cv.ddof, least=f"{wanted.cv.min_mean:g}")
    out.append(_record(say("formula.cv"), text, say("formula.cv_source")))
    if recipe.uncertainty is not None:
        out.append(_record(say("formula.uncertainty"), nep.UNCERTAINTY_FORMULA, nep.UNCERTAINTY_CITATION))
    out += _more(recipe)
    if "natural-breaks" in (recipe.classes.slope.method, recipe.classes.cv.method):
        source = "Fisher, W. D. 1958. J. Am. Stat. Assoc. 53, 789-798; Jenks, G. F. 1977."
        out.append(_record(say("formula.breaks"), say("formula.breaks_text"), source))
    return out


def _partial(recipe: recipes.Recipe) -> dict[str, Told]:
    asked = recipe.statistics.partial_correlation
    others = len(recipe.correlates) - 1
    lags = tuple(
        say("formula.lag", driver=say(f"quantity.{driver}"), years=years)
        for driver, years in asked.lag.items()
        if years
    )
    ending, lagged = ("lag", {"lags": lags}) if lags else ("text", {})
    source = "Fisher, R. A. 1924. Metron 3, 329-332."
    order = others + asked.detrend
    if not order:
        return _record(say("formula.correlation"), say(f"formula.correlation_{ending}", **lagged), source)
    held = "years_alone" if not others else "others_years" if asked.detrend else "others"
    text = say(f"formula.partial_{ending}", order=order, others=say(f"formula.{held}"), **lagged)
    return _record(say("formula.partial", order=order), text, source)


def _more(recipe: recipes.Recipe) -> list[dict[str, Told]]:
    wanted = recipe.statistics
    out = [_partial(recipe)]
    if wanted.cv.detrended:
        out.append(_record(say("formula.cv_detrended"), say("formula.cv_detrended_text"), ""))
    if wanted.breakpoint is not None:
        years: Told = tuple(map(str, wanted.breakpoint.years)) or say("none")
        key = "formula.break_search" if wanted.breakpoint.search else "formula.break_text"
        source = "Chow, G. C. 1960. Econometrica 28, 591-605; Andrews, D. W. K. 1993. Econometrica 61, 821-856."
        out.append(_record(say("formula.break", model=wanted.breakpoint.model), say(key, years=years), source))
    if wanted.pettitt:
        source = "Pettitt, A. N. 1979. Appl. Stat. 28, 126-135."
        out.append(_record(say("formula.pettitt"), say("formula.pettitt_text"), source))
    if wanted.hurst:
        source = (
            "Hurst, H. E. 1951. Trans. Am. Soc. Civ. Eng. 116, 770-799; "
            "Anis, A. A., Lloyd, E. H. 1976. Biometrika 63, 111-116."
        )
        out.append(_record(say("formula.hurst"), say("formula.hurst_text"), source))
    if wanted.residual_trend:
        source = "Evans, J., Geerken, R. 2004. J. Arid Environ. 57, 535-554."
        out.append(_record(say("formula.residual"), say("formula.residual_text"), source))
    if wanted.attribution is not None:
        formula = _typeset(nep.POTENTIAL_FORMULAS[wanted.attribution])
        source = (
            "Xu, D. Y. et al. 2009. Int. J. Remote Sens. 30, 5411-5428; " + nep.POTENTIAL_CITATIONS[wanted.attribution]
        )
        name = say("formula.attribution", model=wanted.attribution)
        out.append(_record(name, say("formula.attribution_text", formula=formula), source))
    if wanted.field_significance:
        source = (
            "Benjamini, Y., Hochberg, Y. 1995. J. R. Stat. Soc. B 57, 289-300; Wilks, D. S. 2016. "
            "Bull. Am. Meteorol. Soc. 97, 2263-2273."
        )
        text = say("formula.field_text", alpha=f"{wanted.alpha:g}")
        out.append(_record(say("formula.field"), text, source))
    return out
