"""The lab's own components, registered through the same entry point as everybody else's."""

from mythos_lab import measures as measures
from mythos_lab import tasks as tasks
from mythos_lab.training import optimizers as optimizers
from mythos_lab.training import schedules as schedules
