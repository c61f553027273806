"""A trial that is made only while its study has room for it, whoever makes others at the same moment.

A storage numbers trials one after another, under a lock. So who has seen ``n`` trials, and room for ``m`` more, may
make one whose number is below ``n + m``: at most those that were made since have the room. The bound travels in the
template of the new trial, and a storage that holds to it takes it out. Optuna's own storages leave it in.
"""

from __future__ import annotations

import copy
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

BELOW = "mythos:below"
"""System attribute of a template: the number that the trial may not have, nor any larger one."""


class Full(Exception):
    """The trial would have had no room, and was not made."""


def template(below: int, user_attrs: dict[str, Any]) -> FrozenTrial:
    """A running trial with a number below a bound, as storages are asked for it."""
    return create_trial(state=TrialState.RUNNING, user_attrs=user_attrs, system_attrs={BELOW: below})


def parted(template: FrozenTrial | None) -> tuple[FrozenTrial | None, int | None]:
    """The template without its bound, and the bound; ``None`` where there is none."""
    if template is None or BELOW not in template.system_attrs:
        return template, None
    plain = copy.copy(template)
    plain.system_attrs = {name: value for name, value in template.system_attrs.items() if name != BELOW}
    return plain, int(template.system_attrs[BELOW])
