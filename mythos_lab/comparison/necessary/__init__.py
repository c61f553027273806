"""How many loops are necessary: models trained at each depth, at equal budgets, and evaluated at all of them."""

from mythos_lab.comparison.necessary.design import DELTAS, necessary
from mythos_lab.comparison.necessary.equivalence import Equivalence, tost
from mythos_lab.comparison.necessary.judgement import Judgement, judge
from mythos_lab.comparison.necessary.matrix import Matrix, gather
from mythos_lab.comparison.necessary.report import concluding, necessary_report, save

__all__ = [
    "DELTAS",
    "Equivalence",
    "Judgement",
    "Matrix",
    "concluding",
    "gather",
    "judge",
    "necessary",
    "necessary_report",
    "save",
    "tost",
]
