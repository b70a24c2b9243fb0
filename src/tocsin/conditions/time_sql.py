"""Parts of points in time as SQL; see `time_part` for what they mean."""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from tocsin.conditions.sql_parts import call, integer, whole
from tocsin.conditions.time_part import EPOCH, SCALES, WRITTEN
from tocsin.model.condition import TimeUnit

__all__ = ["time_part_sql"]

_MICROSECONDS: Final = 1_000_000
_CLOCK_AT: Final = {TimeUnit.HOUR: 12, TimeUnit.MINUTE: 15}  # where it stands, counted from 1


def time_part_sql(unit: TimeUnit, value: exp.Expr) -> exp.Expr:
    """SQL for that part of the point in time that a text is; null if it is none."""
    written = exp.If(this=whole(value, WRITTEN.pattern), true=_of_written(unit, value))
    number = exp.If(this=whole(value, EPOCH.pattern), true=_extracted(unit, _since_1970(value)))
    return exp.Case(ifs=[written, number], default=exp.null())


def _of_written(unit: TimeUnit, value: exp.Expr) -> exp.Expr:
    day = exp.TryCast(this=_cut(value, 1, 10), to=exp.DataType.build("date"))
    if unit not in _CLOCK_AT:
        return _extracted(unit, day)
    clock = exp.TryCast(this=_cut(value, _CLOCK_AT[unit], 2), to=exp.DataType.build("int"))
    # A day that the calendar has not is no point in time at any hour.
    exists = exp.Not(this=exp.Is(this=day, expression=exp.null()))
    return exp.Case(ifs=[exp.If(this=exists, true=clock)], default=exp.null())


def _cut(value: exp.Expr, start: int, length: int) -> exp.Expr:
    return exp.Substring(this=value.copy(), start=integer(start), length=integer(length))


def _extracted(unit: TimeUnit, time: exp.Expr) -> exp.Expr:
    return exp.Extract(this=exp.var(unit.value.upper()), expression=time)


def _since_1970(value: exp.Expr) -> exp.Expr:
    number = exp.TryCast(this=value.copy(), to=exp.DataType.build("bigint"))
    cases = [
        exp.If(
            this=exp.LT(this=number.copy(), expression=integer(below)),
            true=exp.IntDiv(this=number.copy(), expression=integer(scale)),
        )
        for below, scale in SCALES[:-1]
    ]
    seconds = exp.Case(ifs=cases, default=exp.IntDiv(this=number.copy(), expression=integer(SCALES[-1][1])))
    return call("make_timestamp", exp.Mul(this=seconds, expression=integer(_MICROSECONDS)))
