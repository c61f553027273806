"""What a recipe costs, as tables."""

from __future__ import annotations

from mythos_lab.metrics import METRICS
from mythos_lab.recipe.cost import Cost
from mythos_lab.report.report import Report
from mythos_lab.report.table import Cell, Column, Table, name, number, prose


def cost_report(found: Cost) -> Report:
    """Counts under their metric names, and the cache under every policy."""
    report = Report()
    loops = found.num_loops
    report.say(f"{found.recipe.name} at {loops} loops", {"recipe": found.recipe.name, "loops": loops}, head=True)
    columns = (name("cost"), number("value", form=",.0f"), Column("unit"), prose("meaning"))
    rows = [(each, value, METRICS[each].unit, METRICS[each].meaning) for each, value in found.metrics().items()]
    report.show("costs", Table(columns, rows))
    if not found.decodes:
        report.say("no cache: positions read later ones, so nothing is decoded token by token")
        return report
    policies = found.cache_policies
    parts = [number(part, form=",", importance=2) for part in policies[0].by_part]
    sizes = (number("bytes", form=","), number("share", form=".0%"))
    report.show(
        "cache",
        Table(
            (name("policy"), *parts, *sizes, Column("decoding")),
            [
                (
                    Cell(policy.kind, policy.kind + "*" * (policy is policies[0])),
                    *policy.by_part.values(),
                    policy.total,
                    policy.total / policies[0].total if policies[0].total else 1.0,
                    "exact" if policy.exact else "inexact",
                )
                for policy in policies
            ],
            "cache of one sequence; policies hold for the layers of the core",
        ),
    )
    report.say("* the recipe's; the others with their fields at their defaults")
    return report


def costs_at_report(found: Cost, loops: list[int]) -> Report:
    """Counts at several loop counts, side by side, and the cache under every policy."""
    report, at = Report(), [found.at(num_loops) for num_loops in loops]
    columns = (name("cost"), *(number(f"{n} loops") for n in dict.fromkeys(loops)), Column("unit"))
    at = list({n: each for n, each in zip(loops, at, strict=True)}.values())
    rows = [
        (each, *map(_brief, values), METRICS[each].unit)
        for each, *values in zip(at[0].metrics(), *(each.metrics().values() for each in at), strict=True)
    ]
    rows += [
        (f"cache, {policies[0].kind}", *(_brief(policy.total) for policy in policies), "bytes/sequence")
        for policies in zip(*(each.cache_policies for each in at), strict=True)
    ]
    report.know({"recipe": found.recipe.name})
    report.show("costs", Table(columns, rows))
    return report


def _brief(value: float) -> Cell:
    """Four digits and a prefix: ``1.234 M``."""
    power = min(5, max(0, (len(f"{value:.0f}") - 1) // 3))
    return Cell(value, f"{value / 1000**power:.4g} {'kMGTP'[power - 1]}" if power else f"{value:.4g}")
