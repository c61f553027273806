"""Files of runs as they would be if the runs had been other ones."""

import yaml

from mythos_lab.training.result import key_of, read_values, write_values
from mythos_lab.training.sealed import read_yaml, write_yaml


def edit(folder, name, change):
    """Change what a file of a run's folder says, by a function that changes its mapping, and seal it again."""
    if name.endswith(".json"):
        values = read_values(folder, name)
        change(values)
        write_values(folder, name, values)
    else:
        values = yaml.safe_load(read_yaml(folder / name))
        change(values)
        write_yaml(folder / name, yaml.safe_dump(values), key_of(folder))
