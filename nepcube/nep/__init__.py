"""Carbon: heterotrophic respiration, potential net primary productivity, net ecosystem productivity."""

from nepcube.nep.balance import CITATION as BALANCE_CITATION
from nepcube.nep.balance import FORMULA, net_ecosystem_productivity
from nepcube.nep.models import RespirationModel, SensitiveModel, respiration_model
from nepcube.nep.potential import CITATIONS as POTENTIAL_CITATIONS
from nepcube.nep.potential import FORMULAS as POTENTIAL_FORMULAS
from nepcube.nep.potential import potential_npp
from nepcube.nep.respiration import heterotrophic_respiration, require_basis
from nepcube.nep.sensitivity import require_coefficients, require_sensitive, respiration_sensitivity
from nepcube.nep.uncertainty import (
    NORMAL_95,
    UNCERTAINTY_CITATION,
    UNCERTAINTY_FORMULA,
    InputErrors,
    chance_of_sink,
    combine,
    mean_sensitivities,
    nep_uncertainty,
    propagate,
    sensitivity_sums,
)

__all__ = [
    "BALANCE_CITATION",
    "FORMULA",
    "NORMAL_95",
    "POTENTIAL_CITATIONS",
    "POTENTIAL_FORMULAS",
    "UNCERTAINTY_CITATION",
    "UNCERTAINTY_FORMULA",
    "InputErrors",
    "RespirationModel",
    "SensitiveModel",
    "chance_of_sink",
    "combine",
    "heterotrophic_respiration",
    "mean_sensitivities",
    "nep_uncertainty",
    "net_ecosystem_productivity",
    "potential_npp",
    "propagate",
    "require_basis",
    "require_coefficients",
    "require_sensitive",
    "respiration_model",
    "respiration_sensitivity",
    "sensitivity_sums",
]
