"""The order of the stages: one function for each verb. Only this room computes, and only through `execute`."""

from nepcube.audit import audit, load_study
from nepcube.pipeline.aggregate import aggregate
from nepcube.pipeline.analyse import analyse
from nepcube.pipeline.checking import check
from nepcube.pipeline.comparing import Comparison, compare_runs
from nepcube.pipeline.context import Options, Progress, Run, prepare
from nepcube.pipeline.damage import damage_of
from nepcube.pipeline.describing import list_readers
from nepcube.pipeline.ingest import ingest
from nepcube.pipeline.publishing import publish
from nepcube.pipeline.reporting import languages, open_report, report
from nepcube.pipeline.running import run, run_stage, write_figures, write_tables
from nepcube.pipeline.status import status
from nepcube.pipeline.validating import validate
from nepcube.store import let_end

__all__ = [
    "Comparison",
    "Options",
    "Progress",
    "Run",
    "aggregate",
    "analyse",
    "audit",
    "check",
    "compare_runs",
    "damage_of",
    "ingest",
    "languages",
    "let_end",
    "list_readers",
    "load_study",
    "open_report",
    "prepare",
    "publish",
    "report",
    "run",
    "run_stage",
    "status",
    "validate",
    "write_figures",
    "write_tables",
]
