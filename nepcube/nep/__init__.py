"""Carbon: heterotrophic respiration, potential net primary productivity, net ecosystem productivity."""

from nepcube.nep.balance import CITATION as BALANCE_CITATION
from nepcube.nep.balance import FORMULA, net_ecosystem_productivity
from nepcube.nep.potential import CITATIONS as POTENTIAL_CITATIONS
from nepcube.nep.potential import FORMULAS as POTENTIAL_FORMULAS
from nepcube.nep.potential import potential_npp
from nepcube.nep.respiration import CITATION as RESPIRATION_CITATION
from nepcube.nep.respiration import FORMULAS as RESPIRATION_FORMULAS
from nepcube.nep.respiration import heterotrophic_respiration

__all__ = [
    "BALANCE_CITATION",
    "FORMULA",
    "POTENTIAL_CITATIONS",
    "POTENTIAL_FORMULAS",
    "RESPIRATION_CITATION",
    "RESPIRATION_FORMULAS",
    "heterotrophic_respiration",
    "net_ecosystem_productivity",
    "potential_npp",
]
