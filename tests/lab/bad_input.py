"""Bad input, generated: overrides, recipes, search spaces and command lines, from the schema's own fields and from text.

``python -m tests.lab.bad_input 2000 [seed]`` tries so many cases and prints those that are not met as promised.
"""

import faulthandler
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import optuna
import yaml
from pydantic import BaseModel
from typer.testing import CliRunner

import mythos_lab.comparison.ablate  # here, as what is imported within a case counts as its time, and cannot be broken off
import mythos_lab.comparison.compare
import mythos_lab.comparison.conclude
import mythos_lab.comparison.holdout
import mythos_lab.comparison.match
import mythos_lab.comparison.worth
import mythos_lab.search.study
import mythos_lab.training.run  # noqa: F401
from mythos_blocks import load_plugins
from mythos_blocks.declaring.registry import slots
from mythos_lab.cli import app
from mythos_lab.metrics import METRICS
from mythos_lab.recipe import RecipeError, limits
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.paths import slot_of
from mythos_lab.recipe.schema import Recipe
from mythos_lab.search.pruners import PRUNERS
from mythos_lab.search.samplers import SAMPLERS
from mythos_lab.search.spaces.definition import StudyFile
from mythos_lab.search.spaces.space import load_space

SECONDS = 20  # for a case that is refused; nothing that is refused takes so long
BYTES = 2 * 2**30  # more than the process has when a case begins
MACHINE = 2**30  # what it is told that it has

WHOLE = [
    -1,
    0,
    1,
    2,
    3,
    7,
    64,
    1000,
    4096,
    4097,
    2**20,
    2**20 + 1,
    10**7,
    10**9,
    2**31 - 1,
    2**31,
    10**13,
    2**62,
    2**63,
    10**30,
    10**400,
]
REAL = [
    -1.0,
    -0.0,
    0.0,
    1e-320,
    1e-30,
    0.5,
    0.999,
    1.0,
    1.5,
    1e9,
    1e30,
    1e308,
    float("inf"),
    float("-inf"),
    float("nan"),
]
TEXT = [
    "", " ", "none", "null", "any", "[/data]", "[bold]x[/bold]", "${model.width}", "${model}", "${x", "${${x}}", "\\${x}",
    "${name}", "???", "../../x", "/dev/null", "/no/such", "a" * 5000, "é", "\u202e", "🙂", "%s {0} {}", "a\nb", "a\tb", ".rel", "a..b",
    "lti", "x.yaml", ".", "..", "-", "--help", "~", "!!python/name:os.system", "&a *a", "a: b", "1e-4", "0x10", "010", "on",
]  # fmt: skip
MARKS = list("[]{}(),:'\"=\\$~+-*&!|>%@#?/ \t\n0159.eE") + ["${", "}", "<<", "*a", "&a ", "é", "\x00", "\x07", "\ud800"]


@dataclass
class Case:
    """Arguments of the command, or what is to be loaded, and the files beside."""

    arguments: list[str]
    files: dict[str, str] = field(default_factory=dict)


class Maker:
    """Makes cases from a seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        load_plugins()

    def case(self):
        make = self.one(
            self.overridden,
            self.overridden,
            self.overridden,
            self.written,
            self.mangled,
            self.space,
            self.space,
            self.space,
            self.called,
        )
        return make()

    def one(self, *items):
        return self.random.choice(items)

    def value(self, depth=0):
        """Anything that could be written for a field."""
        make = self.one(
            lambda: self.one(*WHOLE), lambda: self.one(*WHOLE), lambda: self.one(*REAL), lambda: self.one(*TEXT),
            lambda: self.one(None, True, False), lambda: self.one(*slots()), self.kind,
            lambda: [self.value(depth + 1) for _ in range(self.random.randrange(4))] if depth < 4 else [],
            lambda: {self.one("kind", "a", "depth", "low", "int", *TEXT[:6]): self.value(depth + 1) for _ in range(self.random.randrange(3))} if depth < 4 else {},
            self.nested,
        )  # fmt: skip
        return make()

    def nested(self):
        value = 1
        for _ in range(self.one(1, 5, 60, 70, 300)):
            value = [value] if self.random.random() < 0.5 else {"a": value}
        return value

    def kind(self, slot=None):
        return self.one(*slots()[slot or self.one(*slots())].kinds)

    def path(self, model=Recipe, most=6):
        """A path of the schema, through whichever kinds, and its last field's slot."""
        parts, slot = [], None
        for _ in range(self.random.randrange(1, most)):
            name = self.one(*model.model_fields)
            parts.append(name)
            info = model.model_fields[name]
            slot = slot_of(info)
            if slot is not None:
                model = slots()[slot].kinds[self.kind(slot)].Spec
            elif isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
                model = info.annotation
            else:
                break
        return ".".join(parts), slot

    def change(self):
        """A path and what is set there, of which the kind is often right so that a field of it is reached."""
        path, slot = self.path()
        if slot is not None and self.random.random() < 0.7:
            kind = self.kind(slot)
            fields = slots()[slot].kinds[kind].Spec.model_fields
            chosen = self.random.sample(list(fields), min(len(fields), self.random.randrange(3)))
            return path, {"kind": kind} | {name: self.value() for name in chosen if name != "kind"}
        return path, self.value()

    def override(self):
        path, value = self.change()
        text = f"{path}={self.typed(value)}"
        return self.mangle(text) if self.random.random() < 0.25 else text

    def typed(self, value):
        if isinstance(value, str):
            quoted = value.replace("\\", "\\\\").replace("'", "\\'")
            return self.one(value, f"'{quoted}'")
        if isinstance(value, list):
            return "[" + ",".join(map(self.typed, value)) + "]"
        if isinstance(value, dict):
            return "{" + ",".join(f"{self.typed(k)}: {self.typed(v)}" for k, v in value.items()) + "}"
        if isinstance(value, bool | None):
            return {None: "null", True: "true", False: "false"}[value]
        return self.digits(value) if isinstance(value, int) else repr(value)

    @staticmethod
    def digits(value):
        return "1" + "0" * 400 if value == 10**400 else str(value)

    def mangle(self, text):
        for _ in range(self.random.randrange(1, 4)):
            at = self.random.randrange(len(text) + 1)
            end = min(len(text), at + self.random.randrange(4))
            text = (
                text[:at]
                + self.one("", self.one(*MARKS), self.one(*MARKS), text[at:end] * 2, self.one(*MARKS) * 3000)
                + text[end:]
            )
        return text

    def recipe(self):
        return self.one("gated_loop", "gated_loop", "fixed_depth", "looped", "mqar", "parcae", "huginn")

    def overridden(self):
        overrides = [self.override() for _ in range(self.one(1, 1, 2))]
        verb = self.one("load", "load", "load", "cost")
        recipe = "gated_loop" if verb == "cost" else self.recipe()  # a small one, as what is right is counted
        return Case([verb, recipe, *overrides])

    def config(self):
        config = {
            "name": "mine", "defaults": [{"/task": "parity"}, {"/training": "quick"}, "_self_"],
            "model": {"width": 16, "core": {"depth": 1, "loops": {"kind": "fixed", "num_loops": 2}}},
        }  # fmt: skip
        for _ in range(self.one(1, 1, 2)):
            path, value = self.change()
            node = config
            *above, last = path.split(".")
            for part in above:
                node = node.setdefault(part, {}) if isinstance(node.get(part, {}), dict) else {}
            node[last] = value
        if self.random.random() < 0.2:
            config[self.one("defaults", "imports", "waive", "", "hydra", 3, None)] = self.value()
        return config

    def dumped(self, value):
        try:
            return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
        except (RecursionError, yaml.YAMLError, ValueError):
            return json.dumps(value) if not isinstance(value, dict) or 10**400 not in value.values() else "a: 1"

    def written(self):
        return Case([self.one("load", "load", "cost"), "mine.yaml"], {"mine.yaml": self.dumped(self.config())})

    def mangled(self):
        if self.random.random() < 0.5:
            return Case(["load", "mine.yaml"], {"mine.yaml": self.mangle(self.dumped(self.config()))})
        return Case(["space", "space.yaml"], {"space.yaml": self.mangle(self.dumped(self.study()))})

    def study(self):
        file = {"name": "s", "recipe": "gated_loop", "space": {}, "objectives": {"val/accuracy": "maximize"}}
        for _ in range(self.one(1, 1, 2)):
            file["space"][self.path()[0]] = self.domain()
        if self.random.random() < 0.5:
            file["constraints"] = [self.condition() for _ in range(self.one(1, 2))]
        for _ in range(self.one(0, 1, 1, 2)):
            name = self.one(*StudyFile.model_fields)
            file[name] = getattr(self, f"study_{name}", self.value)()
        return file

    def study_sampler(self):
        return self.choice_of(SAMPLERS)

    def study_pruner(self):
        return self.choice_of(PRUNERS)

    def choice_of(self, catalogue):
        kind = self.one(*catalogue.entries)
        options = catalogue.entries[kind].options()
        return {"kind": kind} | {
            name: self.value() for name in self.random.sample(list(options), min(len(options), self.one(0, 1, 2)))
        }

    def study_hold(self):
        budgets = {self.one(*METRICS): self.one("recipe", *WHOLE[:-1], *REAL) for _ in range(self.one(1, 2))}
        return self.one({"budgets": budgets, "by": self.path()[0], "tolerance": self.one(0.1, *REAL)}, self.value())

    def study_objectives(self):
        return {
            self.one(*METRICS, *TEXT[:8]): self.one("minimize", "maximize", self.value()) for _ in range(self.one(1, 2))
        }

    def study_arms(self):
        return {self.one("a", "b", "arm", *TEXT[:8]): dict([self.change()]) for _ in range(self.one(1, 2, 3))}

    def study_overrides(self):
        return self.one([self.override() for _ in range(self.one(1, 2))], self.value())

    def domain(self):
        pair = [self.one(*WHOLE[:-1], *REAL), self.one(*WHOLE[:-1], *REAL)]
        form = self.one(
            {"int": pair}, {"float": pair}, {"int": sorted(pair, key=repr), "log": True}, {"float": pair, "step": self.one(*REAL, *WHOLE[:-1])},
            {"int": [1, self.one(*WHOLE[:-1])], "step": self.one(*WHOLE[:-1])}, {"int": [None, 8]}, {"float": "any"}, "any", {"choice": "any"},
            {"choice": [self.value() for _ in range(self.one(1, 2, 3))]}, {"kinds": "any"}, {self.kind(): {}}, {"label": "x"}, self.value(),
        )  # fmt: skip
        if isinstance(form, dict) and self.random.random() < 0.3:
            form = {**form, self.one("prior", "confidence", "log", "step", "label", "x"): self.value()}
        return form

    def condition(self):
        text = self.term()
        for _ in range(self.one(0, 1, 3)):
            text += self.one(" < ", " <= ", " == ", " and ", " or ", " in ", " + ") + self.term()
        return self.mangle(text) if self.random.random() < 0.3 else text

    def term(self, depth=0):
        if depth > 4 or self.random.random() < 0.5:
            return self.one(
                "core.depth",
                "model.width",
                "loops.mean",
                "core.injection",
                *METRICS,
                "9",
                "1e999",
                "'lti'",
                "['a']",
                "10**9",
                "True",
                "None",
                "1j",
            )
        a, b = self.term(depth + 1), self.term(depth + 1)
        return self.one(f"({a})", f"-{a}", f"{a} ** {b}", f"{a} * {b}", f"{a} / {b}", f"{a} % {b}", f"{a} // {b}", f"min({a}, {b})", f"log({a})",
                        f"not {a}", f"{a}[0]", f"f({a})", f"{a} if {b} else 1", "(" * 200 + a + ")" * 200, "+".join([a] * self.one(3, 200)))  # fmt: skip

    def space(self):
        return Case(["space", "space.yaml"], {"space.yaml": self.dumped(self.study())})

    def called(self):
        """A command line."""

        def text():
            return str(self.one(*TEXT, self.digits(self.one(*WHOLE)), *REAL, "1,2", ",", "1,,2", "1,9999999999"))

        options = {
            "cost": ["--loops"], "check": [], "match": ["--hold", "--vary", "--loops", "--write"], "components": [], "task": ["--samples"],
            "ablate": ["--design", "--only", "--hold", "--vary", "--seeds", "--metric", "--matters", "--declare", "--retune", "--name", "--workers"],
            "worth": ["--widths", "--loops", "--steps", "--core-layers", "--seeds", "--count", "--name", "--workers", "--fit-only"],
            "compare": ["--metric", "--declare", "--matters"], "depth": [], "holdout": ["--storage"], "schema": [], "recipes": [],
        }  # fmt: skip
        verb = self.one(*options)
        arguments = [verb]
        if verb in ("match", "ablate", "worth", "cost", "check"):
            arguments += [self.one("gated_loop", "gated_loop", "fixed_depth", text())]
        elif verb == "task":
            arguments += [self.one(self.kind("task"), text())]
        elif verb in ("components", "depth", "holdout"):
            arguments += [self.one("quickstart", text())]
        elif verb == "compare":
            arguments += [text(), text()]
        if verb == "check":
            arguments += [
                self.one("model.width=50", "task=nothing", "imports=[nothing]")
            ]  # what is right takes seconds
        elif verb == "task" or (verb in ("cost", "match") and self.random.random() < 0.3):
            field_, value = self.path(slots()["task"].kinds[self.kind("task")].Spec)[0], self.typed(self.value())
            arguments += [f"{field_}={value}" if verb == "task" else self.override()]
        num = (
            self.one(1, 2) if verb in ("ablate", "worth") else self.one(0, 1, 1, 2)
        )  # what is right is counted, which takes long
        for option in self.random.sample(options[verb], min(len(options[verb]), num)):
            arguments += [option, text()]
        if verb in ("ablate", "worth"):
            arguments += ["--dry-run"]
        return Case(arguments)


class TooLong(BaseException):
    """A case took longer than it may."""


def refused(case):
    """The lines with which the command refuses a case, within the limits; nothing is written."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder), _limits():
        for name, text in case.files.items():
            Path(name).write_text(text, encoding="utf-8")
        lines = _run(case.arguments)
        assert sorted(str(path) for path in Path().rglob("*")) == sorted(case.files)
    assert lines is not None, "it was taken"
    return lines


def met(case):
    """What was not as promised; ``None`` where all was."""
    before = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, chdir(folder), _limits():
        for name, text in case.files.items():
            Path(name).write_text(text, encoding="utf-8", errors="surrogatepass")
        try:
            found = _run(case.arguments)
        except TooLong:
            where = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(sys.exc_info()[2])]
            return f"still running after {SECONDS} s, in {' '.join(where[-12:])}"
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)
            return f"traceback: {type(error).__name__}: {str(error)[:200]} in " + " ".join(
                f"{Path(f.filename).name}:{f.lineno}" for f in where[-6:]
            )
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        left = sorted(str(p) for p in Path().rglob("*") if str(p) not in case.files)
    if found is None:
        return None
    if left and case.arguments[0] not in ("ablate", "worth", "match"):
        return f"wrote {left}"
    long = [
        line
        for line in found
        if len(line) > 2500 or not line.isprintable() and any(ord(c) < 32 and c != "\t" for c in line)
    ]
    if not found or len(found) > 30 or long:
        return f"{len(found)} lines, {len(long)} of them too long or unprintable: {[line[:100] for line in found][:5]}"
    if any(line.startswith("memory:") or "no machine can hold" in line for line in found):
        return f"memory: {found[0][:300]}"
    if time.monotonic() - before > SECONDS:
        return f"took {time.monotonic() - before:.0f} s"
    return None


def _run(arguments):
    """The lines of a refusal; ``None`` where nothing was refused."""
    verb, name, *overrides = [*arguments, ""] if len(arguments) == 1 else arguments
    if verb == "load":
        from mythos_lab.recipe import load_recipe

        try:
            load_recipe(name, overrides)
        except RecipeError as error:
            return error.lines
        return None
    if verb == "space":
        try:
            space = load_space(name)
            space.num_trials()
            validate(
                space.candidate(optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()), "candidate"
            )
        except RecipeError as error:
            return error.lines
        return None
    done = CliRunner().invoke(app, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code in (0, 1, 2), done.exit_code
    if done.exit_code == 2 and "Usage:" in done.stderr:
        return None  # typer's own
    return done.stderr.strip().splitlines() if done.exit_code == 2 else None


@contextmanager
def _limits():
    """Time and memory for one case."""

    def stop(*_):
        raise TooLong

    had = resource.getrlimit(resource.RLIMIT_DATA)
    used = (
        int(
            next(
                line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData")
            ).split()[1]
        )
        * 1024
    )
    handler = signal.signal(signal.SIGALRM, stop)
    resource.setrlimit(resource.RLIMIT_DATA, (used + BYTES, had[1]))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    faulthandler.dump_traceback_later(4 * SECONDS, exit=True)
    try:
        with mock.patch.object(limits, "memory_bytes", lambda: MACHINE):
            yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_DATA, had)
        signal.signal(signal.SIGALRM, handler)


def main(num, first=0):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    os.environ.setdefault("COLUMNS", "200")
    bad = 0
    for seed in range(first, first + num):
        case = Maker(seed).case()
        print(f"\r{seed}", end="", file=sys.stderr, flush=True)
        if (problem := met(case)) is not None:
            bad += 1
            shown = {name: text[:600] for name, text in case.files.items()}
            print(
                f"--- seed {seed}: {[a[:200] for a in case.arguments]}\n{problem}\n" + "\n".join(shown.values()),
                flush=True,
            )
    print(f"{num} cases, {bad} not met as promised")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
