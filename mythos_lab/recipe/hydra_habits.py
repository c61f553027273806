"""What people do in applications of Hydra, and what does it here: recipes are composed by Hydra, and run otherwise."""

from __future__ import annotations

from mythos_lab.recipe.errors import shortened

_SEARCH = "one run takes one value; many are {choice: [...]} under 'space' in a search space, which mythos study runs"
_RECIPE = "the recipe is the verb's first argument, a name or a path: mythos train RECIPE"
_COMPOSED = "a run's folder has the composed recipe as recipe.yaml, and mythos check RECIPE says what is wrong with one"

_FLAGS = {
    ("-m", "--multirun"): _SEARCH,
    ("-cn", "--config-name"): _RECIPE,
    ("-cp", "--config-path", "-cd", "--config-dir"): f"{_RECIPE}; its config groups lie beside it",
    ("-c", "--cfg", "--resolve", "-p", "--package", "-i", "--info"): _COMPOSED,
    ("-r", "--run"): "a verb runs by itself; leave it out",
    ("--experimental-rerun",): "mythos train FOLDER/recipe.yaml runs it again, --resume FOLDER goes on with it",
    ("--hydra-help", "-sc", "--shell-completion"): "mythos --help lists the verbs, mythos VERB --help its options",
}

_SETTINGS = {
    "hydra.run": "runs lie in runs/, studies in studies/, below the working directory",
    "hydra.sweep": "runs lie in runs/, studies in studies/, below the working directory",
    "hydra.job": "a run is named by the recipe's name=...",
    "hydra/launcher": "mythos study takes --engine local, ray or slurm and --workers",
    "hydra.launcher": "mythos study takes --engine local, ray or slurm and --workers",
    "hydra/sweeper": "a search space names its sampler",
    "hydra.sweeper": "a search space names its sampler",
    "hydra": "there are no settings of Hydra's to change",
}


def of_flag(flag: str) -> str | None:
    """What stands here for a flag of Hydra's applications; ``None`` where it is none."""
    given = flag.partition("=")[0]
    return next((said for flags, said in _FLAGS.items() if given in flags), None)


def of_override(text: str) -> str | None:
    """Why an override that Hydra's applications take has no place here, and what does it; ``None`` for any other."""
    bare = text.lstrip("+~")
    for prefix, said in _SETTINGS.items():
        if bare.startswith(prefix) and bare[len(prefix) : len(prefix) + 1] in ("", ".", "/", "=", "@"):
            return f"Hydra composes recipes and runs nothing here; {said}"
    if text[:1] == "+":
        return f"'+' adds fields, and the schema has all that there are; write {shortened(bare)}"
    if text[:1] == "~":
        return (
            f"'~' deletes fields, and the schema has each; write {shortened(bare.partition('=')[0])}=null, or its none"
        )
    return None


def of_sweep(path: str) -> str:
    """What a sweep over a path is here."""
    return f"a sweep; {_SEARCH.replace('many are', f'many are {path}:')}"
