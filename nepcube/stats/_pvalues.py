"""P-values of t and F, compiled: closed form for whole degrees of freedom, continued fraction for the rest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nepcube.compiling import compiled

#: from here on 1 - p has lost digits of p
CANCELS = 0.999
#: what is smaller than this part of a sum does not change it
LAST = 1e-17
#: more degrees of freedom take the continued fraction, whose steps do not grow with them
CLOSED = 200


@compiled
def _beta_fraction(a: float, b: float, x: float) -> float:
    # continued fraction of the incomplete beta function by Lentz's method (DLMF 8.17.22)
    tiny = 1e-300
    c = 1.0
    d = 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    h = d
    for m in range(1, 500):
        m2 = 2 * m
        term = m * (b - m) * x / ((a + m2 - 1.0) * (a + m2))
        d = 1.0 + term * d
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = 1.0 + term / c
        c = c if abs(c) > tiny else tiny
        h *= d * c
        term = -(a + m) * (a + b + m) * x / ((a + m2) * (a + m2 + 1.0))
        d = 1.0 + term * d
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = 1.0 + term / c
        c = c if abs(c) > tiny else tiny
        step = d * c
        h *= step
        if abs(step - 1.0) < 1e-15:
            break
    return h


@compiled
def incomplete_beta(a: float, b: float, x: float, y: float) -> float:
    """Regularised incomplete beta function I_x(a, b); y is 1 - x."""
    if y <= 0.0:
        return 1.0
    if x <= 0.0:
        return 0.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(y))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(a, b, x) / a
    return 1.0 - front * _beta_fraction(b, a, y) / b


@compiled
def student(sine: float, rest: float, dof: int) -> float:
    """Two-sided p-value of Student's t in closed form: t = sqrt(dof) tan(angle), `rest` is the squared cosine.

    Of a correlation r with dof degrees of freedom: sine = |r|, rest = 1 - r^2. The finite sums of Abramowitz and Stegun
    26.7.3 and 26.7.4 give 1 - p; where that would cancel, the terms that follow (they add to 1 in all) give p itself.
    """
    if sine == 0.0:
        return 1.0
    body = 0.0
    term = 1.0
    u = dof % 2
    if u == 1:
        cosine = math.sqrt(rest)
        body = 2.0 / math.pi * math.atan2(sine, cosine)
        term = 2.0 / math.pi * cosine
    total = 0.0
    while u < dof:
        total += term
        term *= rest * ((u + 1.0) / (u + 2.0))
        u += 2
    body += sine * total
    return 1.0 - body if body < CANCELS else _tail(sine, rest, u, term)


@compiled
def _tail(sine: float, rest: float, u: int, term: float) -> float:
    # what follows the finite sum, from the term of u on
    total = 0.0
    least = LAST * sine * sine
    while term > least * total:
        total += term
        term *= rest * ((u + 1.0) / (u + 2.0))
        u += 2
    return sine * total


@compiled
def students(sine: Any, rest: Any, dof: Any, width: int, term: Any, total: Any, p: Any) -> None:
    """Do what `student` does, to the last bit, for the first `width` of several at once; NaN for a negative sine."""
    common = 0
    alike = True
    for j in range(width):
        if sine[j] >= 0.0:
            alike = alike and (common in (0, dof[j]))
            common = dof[j]
    if common == 0 or not alike:
        for j in range(width):
            p[j] = student(sine[j], rest[j], dof[j]) if sine[j] >= 0.0 else np.nan
        return
    u = common % 2
    for j in range(width):
        p[j] = 0.0
        term[j] = 1.0
        total[j] = 0.0
    if u == 1:
        for j in range(width):
            cosine = math.sqrt(rest[j])
            p[j] = 2.0 / math.pi * math.atan2(sine[j], cosine)
            term[j] = 2.0 / math.pi * cosine
    while u < common:
        ratio = (u + 1.0) / (u + 2.0)
        for j in range(width):
            total[j] += term[j]
            term[j] *= rest[j] * ratio
        u += 2
    for j in range(width):
        p[j] += sine[j] * total[j]
    for j in range(width):
        if sine[j] < 0.0:
            p[j] = np.nan
        elif p[j] < CANCELS or sine[j] == 0.0:
            p[j] = 1.0 - p[j]
        else:
            p[j] = _tail(sine[j], rest[j], u, term[j])


@compiled
def t_pvalue(t: float, dof: float) -> float:
    """Two-sided p-value of Student's t: the regularised incomplete beta function I_x(dof/2, 1/2), x = dof/(dof+t2)."""
    if np.isnan(t) or dof <= 0:
        return np.nan
    if np.isinf(t):
        return 0.0
    t2 = t * t
    if dof <= CLOSED and dof == math.floor(dof):
        return student(abs(t) / math.sqrt(dof + t2), dof / (dof + t2), int(dof))
    return incomplete_beta(0.5 * dof, 0.5, dof / (dof + t2), t2 / (dof + t2))
