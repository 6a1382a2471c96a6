"""A published study's own numbers held against each other."""

from nepcube.audit.rules import Contradiction, audit
from nepcube.audit.study import Printed, Study, load_study

__all__ = ["Contradiction", "Printed", "Study", "audit", "load_study"]
