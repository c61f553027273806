"""One reader in a process of its own, which may take little time and memory: ``python -m tests.security.child SECONDS``.

The names of functions here and their arguments come in as JSON, one a line; a line that says how each ended goes out.
"""

import json
import resource
import signal
import sys
import time
from pathlib import Path

_MEMORY = 3 * 2**30  # of addresses, of which torch's libraries take most
_EXPECTED = (ValueError, OSError)


def recipe(path):
    from mythos_lab.recipe import load_recipe

    load_recipe(path)


def space(path):
    from mythos_lab.search.spaces.space import load_space

    load_space(path)


def yaml(path):
    from mythos_lab.recipe.documents import read_document

    read_document(Path(path))


def constraint(text):
    from mythos_lab.search.spaces.expression import parse

    parsed = parse(text)
    for value in (3, 1e308, -2.5, 2**62, "word", True, None):
        for each in (parsed.check_types, parsed.violation):
            try:
                each(dict.fromkeys(parsed.names, value))
            except ValueError:
                pass


def references(config):
    from mythos_lab.recipe.interpolation import resolved
    from mythos_lab.recipe.schema import Recipe

    resolved(Recipe, config, "recipe.yaml")


def journal(path):
    from mythos_lab.search.storage import open_storage

    open_storage(f"journal://{path}", Path(path).parent)


def weights(path):
    from mythos_blocks.checkpoints import load_model

    load_model(path)


def values(path):
    from mythos_lab.training.sealed import read_json

    read_json(Path(path))


def checkpoint(path):
    from mythos_lab.training.checkpoint import num_steps_of

    num_steps_of(Path(path))


def corpus(path):
    from mythos_lab.tasks.text.files import Files

    for _ in Files(path, (".txt", ".jsonl"), "text").documents():
        pass


def inspect(path):
    from mythos_lab.inspection import inspect as inspected

    inspected(Path(path))


class Late(BaseException):
    """It took too long."""


def _late(*_):
    raise Late


def main(seconds):
    import mythos_lab.search.spaces.space  # noqa: F401, once for all, as it takes its time
    import mythos_lab.training.result  # noqa: F401

    base = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (base + _MEMORY // 2, base + _MEMORY // 2))
    signal.signal(signal.SIGVTALRM, _late)
    for line in sys.stdin:
        name, argument = json.loads(line)
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        begun = time.process_time()
        try:
            globals()[name](argument)
            ended = "accepted"
        except _EXPECTED as error:
            lines = str(error).splitlines()
            ended = "refused" if lines and max(map(len, lines)) < 2000 else f"said badly: {str(error)[:200]!r}"
        except BaseException as error:
            ended = f"{type(error).__name__}: {str(error)[:200]}"
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        print(json.dumps([name, ended, round(time.process_time() - begun, 2)]), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]))
