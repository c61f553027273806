"""The verbs: nothing but parsing and calling. Heavy imports wait until a verb needs them."""

from mythos_lab.cli import authoring as authoring
from mythos_lab.cli import comparisons as comparisons
from mythos_lab.cli import finished as finished
from mythos_lab.cli import necessary as necessary
from mythos_lab.cli import recipes as recipes
from mythos_lab.cli import reports as reports
from mythos_lab.cli import reproduce as reproduce
from mythos_lab.cli import runs as runs
from mythos_lab.cli import studies as studies
from mythos_lab.cli.app import app as app
