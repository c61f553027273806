"""Reports of runs, studies and folders: what is read of them, and what stands on their pages."""

from mythos_lab.comparison.reporting.reported import Reported as Reported
from mythos_lab.comparison.reporting.reported import report_of as report_of
