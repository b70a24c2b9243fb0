"""Parts of points in time as SQL; see `time_part` for what they mean.

The calendar is reckoned here, in whole numbers: engines differ in the years that their dates have, and put points in
time into the zone of their session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlglot import exp

from tocsin.conditions.dialect import Dialect, Make
from tocsin.conditions.sql_parts import all_of, integer, own
from tocsin.conditions.time_part import EPOCH, SCALES, WRITTEN
from tocsin.model.condition import TimeUnit

__all__ = ["time_part_sql"]

_DAY_S: Final = 86_400
_CLOCK_AT: Final = {TimeUnit.HOUR: 12, TimeUnit.MINUTE: 15}  # where it stands, counted from 1
_EPOCH: Final = 719_468  # days from 0000-03-01, where 400 years begin, to 1970-01-01
_WEEKS_BEFORE: Final = 7 * 60_000  # days, to before the year 1000
_ERA_DAYS: Final = 146_097  # in 400 years
_Date = Callable[[exp.Expr, exp.Expr, exp.Expr], exp.Expr]  # something about year, month and day


def time_part_sql(unit: TimeUnit, value: exp.Expr, compare: Make, dialect: Dialect) -> exp.Expr:
    """SQL that is true where the text is a point in time whose part compares so."""
    reckoned = _Reckoned(dialect)
    cases = [
        exp.If(this=dialect.whole(value, WRITTEN.pattern), true=reckoned.of_written(unit, value, compare)),
        exp.If(this=dialect.whole(value, EPOCH.pattern), true=reckoned.since_1970(unit, value, compare)),
    ]
    return exp.Case(ifs=cases, default=exp.false())


class _Reckoned:
    """What is named once and used more than once is the variable of a list of one."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def of_written(self, unit: TimeUnit, value: exp.Expr, compare: Make) -> exp.Expr:
        def of_date(year: exp.Expr, month: exp.Expr, day: exp.Expr) -> exp.Expr:
            # A day that the calendar has not is no point in time at any hour.
            exists = exp.and_(_between(month, 1, 12), _between(day, 1, _days_in(year, month)))
            if unit is TimeUnit.WEEK:
                return exp.and_(exists, self._of_week(self._days(year, month, day), compare))
            clock = self._number(value, _CLOCK_AT[unit], 2) if unit in _CLOCK_AT else None
            return exp.and_(exists, compare(clock or _part(unit, year, month, day)))

        return self._let_date([self._number(value, at, length) for at, length in ((1, 4), (6, 2), (9, 2))], of_date)

    def since_1970(self, unit: TimeUnit, value: exp.Expr, compare: Make) -> exp.Expr:
        def of_seconds(seconds: exp.Expr) -> exp.Expr:
            days = self._over(seconds, _DAY_S)
            match unit:
                case TimeUnit.HOUR:
                    return compare(self._over(_rest(seconds, _DAY_S), 3600))
                case TimeUnit.MINUTE:
                    return compare(_rest(self._over(seconds, 60), 60))
                case TimeUnit.WEEK:
                    return self._of_week(days, compare)
                case _:
                    return self._on_date(days, lambda *date: compare(_part(unit, *date)))

        number = self._dialect.as_integer(value)
        return self._let(number, "number", lambda number: self._let(self._seconds(number), "seconds", of_seconds))

    def _seconds(self, number: exp.Expr) -> exp.Expr:
        cases = [
            exp.If(this=exp.LT(this=own(number), expression=integer(below)), true=self._over(number, scale))
            for below, scale in SCALES[:-1]
        ]
        return exp.Case(ifs=cases, default=self._over(number, SCALES[-1][1]))

    def _of_week(self, days: exp.Expr, compare: Make) -> exp.Expr:
        """A week belongs to the year of its Thursday (ISO 8601)."""

        def of_thursday(thursday: exp.Expr) -> exp.Expr:
            def week(year: exp.Expr, *_: exp.Expr) -> exp.Expr:
                since_new_year = _minus(thursday, self._days(year, integer(1), integer(1)))
                return compare(_plus(self._over(since_new_year, 7), 1))

            return self._on_date(thursday, week)

        # The first day of 1970 was a Thursday; whole weeks are added so that there is no rest of less than nothing.
        since_monday = _rest(_plus(days, _WEEKS_BEFORE + 3), 7)
        return self._let(_plus(_minus(days, since_monday), 3), "thursday", of_thursday)

    def _on_date(self, days: exp.Expr, make: _Date) -> exp.Expr:
        """Something about the date so many days after 1970-01-01; see `_days`."""

        def of_era(era: exp.Expr, day: exp.Expr) -> exp.Expr:
            leaps = _minus(_minus(self._over(day, 36_524), self._over(day, 1460)), self._over(day, 146_096))
            year = self._over(_plus(day, leaps), 365)
            return self._let(year, "year", lambda year: of_year(_plus(_times(era, 400), year), year, day))

        def of_year(number: exp.Expr, year: exp.Expr, day: exp.Expr) -> exp.Expr:
            leaps = _minus(self._over(year, 4), self._over(year, 100))
            of_year = _minus(day, _plus(_times(year, 365), leaps))
            return self._let(of_year, "day", lambda day: of_month(number, day))

        def of_month(year: exp.Expr, day: exp.Expr) -> exp.Expr:
            since_march = self._over(_plus(_times(day, 5), 2), 153)
            of_month = _plus(_minus(day, self._over(_plus(_times(since_march, 153), 2), 5)), 1)
            month = _plus(_rest(_plus(since_march, 2), 12), 1)
            return self._let_date([_plus(year, self._over(since_march, 10)), month, of_month], make)

        def of_days(days: exp.Expr) -> exp.Expr:
            return of_era(self._over(days, _ERA_DAYS), _rest(days, _ERA_DAYS))

        return self._let(_plus(days, _EPOCH), "days", of_days)

    def _days(self, year: exp.Expr, month: exp.Expr, day: exp.Expr) -> exp.Expr:
        """Days from 1970-01-01 on; years are reckoned from March on, so that the leap day is a year's last."""
        since_march = _rest(_plus(month, 9), 12)
        year = _minus(year, self._over(since_march, 10))
        leaps = _plus(_minus(self._over(year, 4), self._over(year, 100)), self._over(year, 400))
        of_year = _plus(self._over(_plus(_times(since_march, 153), 2), 5), _minus(day, 1))
        return _minus(_plus(_plus(_times(year, 365), leaps), of_year), _EPOCH)

    def _let_date(self, date: list[exp.Expr], make: _Date) -> exp.Expr:
        year, month, day = date
        return self._let(
            year, "y", lambda y: self._let(month, "m", lambda m: self._let(day, "d", lambda d: make(y, m, d)))
        )

    def _let(self, value: exp.Expr, name: str, make: Make) -> exp.Expr:
        return self._dialect.some(exp.array(value), name, make)

    def _number(self, value: exp.Expr, start: int, length: int) -> exp.Expr:
        cut = exp.Substring(this=own(value), start=integer(start), length=integer(length))
        return self._dialect.as_integer(cut)

    def _over(self, value: exp.Expr, by: int) -> exp.Expr:
        return self._dialect.quotient(value, by)


def _part(unit: TimeUnit, year: exp.Expr, month: exp.Expr, day: exp.Expr) -> exp.Expr:
    return {TimeUnit.YEAR: year, TimeUnit.MONTH: month, TimeUnit.DAY: day}[unit]


def _days_in(year: exp.Expr, month: exp.Expr) -> exp.Expr:
    leap = exp.or_(all_of([_is(_rest(year, 4), 0), exp.Not(this=_is(_rest(year, 100), 0))]), _is(_rest(year, 400), 0))
    february = exp.If(this=_is(month, 2), true=exp.Case(ifs=[exp.If(this=leap, true=integer(29))], default=integer(28)))
    short = exp.If(this=exp.In(this=own(month), expressions=[*map(integer, (4, 6, 9, 11))]), true=integer(30))
    return exp.Case(ifs=[february, short], default=integer(31))


_Number = exp.Expr | int


def _is(left: exp.Expr, right: int) -> exp.Expr:
    return exp.EQ(this=own(left), expression=integer(right))


def _between(value: exp.Expr, low: int, high: _Number) -> exp.Expr:
    return exp.Between(this=own(value), low=integer(low), high=_of(high))


def _plus(left: _Number, right: _Number) -> exp.Expr:
    return exp.Paren(this=exp.Add(this=_of(left), expression=_of(right)))


def _minus(left: _Number, right: _Number) -> exp.Expr:
    return exp.Paren(this=exp.Sub(this=_of(left), expression=_of(right)))


def _times(left: _Number, right: _Number) -> exp.Expr:
    return exp.Paren(this=exp.Mul(this=_of(left), expression=_of(right)))


def _rest(left: _Number, right: int) -> exp.Expr:
    return exp.Paren(this=exp.Mod(this=_of(left), expression=integer(right)))


def _of(number: _Number) -> exp.Expr:
    return integer(number) if isinstance(number, int) else own(number)
