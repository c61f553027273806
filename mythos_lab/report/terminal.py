"""Tables for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console
from rich.table import Column, Table

if TYPE_CHECKING:
    from mythos_lab.measures.depth_curve import DepthCurve
    from mythos_lab.recipe.cost import Cost
    from mythos_lab.report.catalogue import Entry
    from mythos_lab.report.task import Line, Survey
    from mythos_lab.training.result import RunResult

console = Console()


def print_result(result: RunResult) -> None:
    """What a run came to, and where to look further."""
    for finding in result.findings:
        console.print(f"waived  {finding.code}: {finding.message}", highlight=False)
    if result.curve is not None:
        print_curve(result.curve)
    if result.ood is not None:
        print_curve(result.ood, "out of distribution")
    shown = (
        "val/accuracy",
        "val/loss",
        "val/bits_per_byte",
        "ood/accuracy",
        "halting/depth_read",
        "loops/executed",
        "loops/gain",
        "loops/useful_depth",
        "loops/overthinking",
        "stability/rho_A",
    )
    table = Table("metric", _right("value"), _right("95 % interval"), box=None)
    for name in (*shown, *(n for n in result.metrics if n.startswith("knockout/"))):
        if name in result.metrics:
            interval = result.intervals.get(name)
            between = "" if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}"
            table.add_row(name, f"{result.metrics[name]:.4g}", between)
    console.print(table)
    if result.intervals:
        console.print("intervals: over the samples of the split; other seeds are not in them", highlight=False)
    console.print(f"{result.status}{': ' + result.reason if result.reason else ''}", highlight=False)
    console.print(
        f"folder: {result.folder}\nmore:   mythos depth {result.folder}   mythos ui", highlight=False, soft_wrap=True
    )


def print_curve(curve: DepthCurve, title: str = "depth curve") -> None:
    """The depth curve, a row for each loop count."""
    rows, quality = curve.rows(), curve.quality_name
    low, high = f"{quality}_low", f"{quality}_high"
    # Difficulties are named once, above: their columns would not fit a terminal otherwise.
    prefix = f"{curve.task.difficulty_name}="
    by_difficulty = [key for key in rows[0] if key.startswith(prefix)]
    note = f"; accuracy by {curve.task.difficulty_name}" if by_difficulty else ""
    heads = ["loops", "loss", "accuracy", *([f"95 % of {quality}"] if low in rows[0] else [])]
    table = Table(*heads, *(key.removeprefix(prefix) for key in by_difficulty), title=title + note, box=None)
    for row in rows:
        between = [f"{row[low]:.3f} - {row[high]:.3f}"] if low in row else []
        shown = [f"{row[key]:.3f}" for key in by_difficulty]
        table.add_row(str(row["loops"]), f"{row['loss']:.3f}", f"{row['accuracy']:.3f}", *between, *shown)
    console.print(table)


def print_tasks(lines: list[Line]) -> None:
    """All tasks, with the shortcut that goes furthest in each."""
    table = Table("task", "difficulty", "chance", "furthest shortcut", "leads", "stated", box=None)
    for line in lines:
        table.add_row(
            line.kind + ("*" if line.claim else ""),
            line.difficulty,
            "" if line.chance is None else f"{line.chance:.3g}",
            _plain(line.shortcut),
            "" if line.explained is None else f"{line.explained:.0%}",
            "" if line.bound is None else f"{line.bound:.0%}",
        )
    console.print(table)
    console.print(
        "* called compositional. A shortcut leads from chance (0 %) to every answer right (100 %).", highlight=False
    )


def print_task(found: Survey) -> None:
    """Samples, sizes, oracle, audit and speed of a task."""
    console.print(f"[bold]{found.kind}[/bold]  {_plain(found.summary)}\n", highlight=False)
    for sample in found.samples:
        console.print(_plain(sample) + ("\n" if "\n" in sample else ""), highlight=False, soft_wrap=True)
    table = Table("", "", box=None, show_header=False)
    for name, value in found.facts.items():
        table.add_row(name, _plain(value))
    for split, share in found.oracle.items():
        table.add_row(f"oracle, {split}", f"{share:.4f}")
    table.add_row("speed", f"{found.samples_per_second:,.0f} samples/s")
    console.print(table)
    if not found.audit:
        return
    levels = sorted({s.difficulty for s in found.audit}, key=lambda level: level or 0)
    heads = ["accuracy" if level is None else str(level) for level in levels]
    table = Table("feature", *heads, title="audit: accuracy from one feature")
    for partial in (False, True):
        for feature in dict.fromkeys(s.feature for s in found.audit if s.partial == partial):
            by_level = {s.difficulty: s.accuracy for s in found.audit if s.feature == feature}
            cells = [f"{by_level[k]:.3f}" if k in by_level else "" for k in levels]
            table.add_row(_plain(feature) + (" (partial work)" if partial else ""), *cells)
    console.print(table)
    worst = max((s for s in found.audit if not s.partial), key=lambda s: s.explained, default=None)
    if worst is not None and found.max_shortcut is not None:
        console.print(
            f"the best shortcut leads {max(0.0, worst.explained):.0%} of the way from chance to every answer right "
            f"(stated: at most {found.max_shortcut:.0%})",
            highlight=False,
        )


def print_cost(found: Cost) -> None:
    """Counts under their metric names, and the cache under every policy."""
    from mythos_lab.metrics import METRICS

    console.print(f"{found.recipe.name} at {found.num_loops} loops", highlight=False)
    for name, value in found.metrics().items():
        console.print(f"{name:<32}{value:>22,.0f} {METRICS[name].unit}", highlight=False)
        console.print(f"    [dim]{METRICS[name].meaning}[/dim]", highlight=False)
    if not found.decodes:
        console.print("no cache: positions read later ones, so nothing is decoded token by token", highlight=False)
        return
    policies = found.cache_policies
    parts = list(policies[0].by_part)
    title = "cache of one sequence; policies hold for the layers of the core"
    table = Table(_name("policy"), *map(_right, [*parts, "bytes", "share"]), _name("decoding"), title=title, box=None)
    for policy in policies:
        share = policy.total / policies[0].total if policies[0].total else 1.0
        sizes = [f"{size:,}" for size in (*policy.by_part.values(), policy.total)]
        name = policy.kind + ("*" if policy is policies[0] else "")
        table.add_row(name, *sizes, f"{share:.0%}", "exact" if policy.exact else "inexact")
    console.print(table)
    console.print("* the recipe's; the others with their fields at their defaults", highlight=False)


def print_costs_at(found: Cost, loops: list[int]) -> None:
    """Counts at several loop counts, side by side, and the cache under every policy."""
    from mythos_lab.metrics import METRICS

    at = [found.at(num_loops) for num_loops in loops]
    table = Table(_name("cost"), *(_right(f"{num_loops} loops") for num_loops in loops), "unit", box=None)
    for name, *values in zip(at[0].metrics(), *(each.metrics().values() for each in at), strict=True):
        table.add_row(name, *map(_brief, values), METRICS[name].unit)
    for policies in zip(*(each.cache_policies for each in at), strict=True):
        sizes = (_brief(policy.total) for policy in policies)
        table.add_row(f"cache, {policies[0].kind}", *sizes, "bytes/sequence")
    console.print(table)


def print_recipes(paths: dict[str, Path]) -> None:
    """Names and descriptions."""
    table = Table("recipe", "what it is", box=None)
    for name, path in paths.items():
        table.add_row(name, str(yaml.safe_load(path.read_text(encoding="utf-8")).get("description", "")))
    console.print(table)


def print_components(entries: list[Entry]) -> None:
    """Components by slot, each with its fields, defaults and meanings, its cost, and the recipes that use it."""
    from mythos_blocks.declaring.registry import slot_info

    shown = None
    for entry in entries:
        if entry.slot != shown:
            info, shown = slot_info(entry.slot), entry.slot
            off = f" (off: {info.off})" if info.off else ""
            console.print(f"[bold]{info.name}[/bold]{off}  {info.summary}", highlight=False)
        console.print(f"  [cyan]{entry.kind}[/cyan]  {_plain(entry.meaning)}", highlight=False)
        if entry.params is not None and (entry.params or entry.flops):
            console.print(
                f"      [dim]{entry.params:+,} parameters, {entry.flops:+,.0f} FLOPs per position and loop at width 128"
                "[/dim]",
                highlight=False,
            )
        if entry.recipes:
            console.print(f"      [dim]used by {', '.join(entry.recipes)}[/dim]", highlight=False)
        for field in entry.fields:
            default = "required" if field.default is None else f"default {field.default}"
            console.print(f"      {field.name}: {_plain(field.meaning)} ({_plain(default)})", highlight=False)


def _name(head: str) -> Column:
    return Column(head, no_wrap=True)


def _right(head: str) -> Column:
    return Column(head, justify="right", no_wrap=True)


def _brief(value: float) -> str:
    """Four digits and a prefix: ``1.234 M``."""
    power = min(5, max(0, (len(f"{value:.0f}") - 1) // 3))
    return f"{value / 1000**power:.4g} {' kMGTP'[power]}" if power else f"{value:.4g}  "


def _plain(text: Any) -> str:
    return str(text).replace("[", "\\[")
