"""Carbon: heterotrophic respiration, potential net primary productivity, net ecosystem productivity."""

from nepcube.nep.balance import CITATION as BALANCE_CITATION
from nepcube.nep.balance import FORMULA, net_ecosystem_productivity
from nepcube.nep.models import RespirationModel, respiration_model
from nepcube.nep.potential import CITATIONS as POTENTIAL_CITATIONS
from nepcube.nep.potential import FORMULAS as POTENTIAL_FORMULAS
from nepcube.nep.potential import potential_npp
from nepcube.nep.respiration import heterotrophic_respiration, require_basis

__all__ = [
    "BALANCE_CITATION",
    "FORMULA",
    "POTENTIAL_CITATIONS",
    "POTENTIAL_FORMULAS",
    "RespirationModel",
    "heterotrophic_respiration",
    "net_ecosystem_productivity",
    "potential_npp",
    "require_basis",
    "respiration_model",
]
