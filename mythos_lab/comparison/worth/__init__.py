"""What a recurrence is worth: an iso-depth sweep, its joint fit, and what it tells (arXiv 2604.21106)."""

from mythos_lab.comparison.worth.cells import Cell
from mythos_lab.comparison.worth.counts import Counted, check_counted, once_and_recurrent
from mythos_lab.comparison.worth.fit import Estimate, Fit, fit_law
from mythos_lab.comparison.worth.judgement import Judgement, judge
from mythos_lab.comparison.worth.read import Gathered, gather, gather_runs
from mythos_lab.comparison.worth.sweep import Sweep, plan
from mythos_lab.comparison.worth.table import plan_report, worth_report
from mythos_lab.comparison.worth.worth import Worth, measure, save

__all__ = [
    "Cell",
    "Counted",
    "Estimate",
    "Fit",
    "Gathered",
    "Judgement",
    "Sweep",
    "Worth",
    "check_counted",
    "fit_law",
    "gather",
    "gather_runs",
    "judge",
    "measure",
    "once_and_recurrent",
    "plan",
    "plan_report",
    "worth_report",
    "save",
]
