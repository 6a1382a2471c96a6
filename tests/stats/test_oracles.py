"""No number without a twin."""

import ast
from pathlib import Path

import stats_oracles
from stats_oracles import ORACLES

from nepcube import stats

HERE = Path(__file__).parent


def test_every_function_has_a_twin():
    public = {getattr(stats, name) for name in stats.__all__}
    assert public == set(ORACLES)
    assert all(twins and all(callable(t) for t in twins) for twins in ORACLES.values())


def test_every_twin_is_used_by_a_test():
    used = set()
    for file in HERE.glob("test_*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        # an import is no use: only names that stand in an expression count
        used |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    twins = {t.__name__ for twins in ORACLES.values() for t in twins}
    assert twins <= used


def test_no_twin_calls_the_package():
    tree = ast.parse(Path(stats_oracles.__file__).read_text(encoding="utf-8"))
    uses = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and getattr(n.value, "id", "") == "stats"]
    # `stats.x` appears in the keys of the table alone
    table = next(n for n in ast.walk(tree) if isinstance(n, ast.Assign) and n.targets[0].id == "ORACLES")
    assert {id(n) for n in uses} == {id(k) for k in table.value.keys}
