"""The effect check: what a recipe declares must have an effect, shown before anything is trained."""

from mythos_lab.checks.check import check
from mythos_lab.checks.findings import Assembly, Finding

__all__ = ["Assembly", "Finding", "check"]
