"""The application that the verbs register with, and what they share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mythos_lab.cli import completing
from mythos_lab.imports import OPTION, imports_as_before, withhold_imports
from mythos_lab.loading import begin_loading


class Guarded(TyperGroup):
    """Every verb within :func:`one_line_errors`, whatever it does first or last."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from mythos_lab.cli.arguments import hide_logins

        begin_loading()
        hide_logins()
        return super().__call__(*args, **kwargs)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[_TYPED] = list(args)
        with one_line_errors(), _habits(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with one_line_errors(), _habits(ctx), imports_as_before():
            return super().invoke(ctx)


_TYPED = "mythos.typed"


@contextmanager
def _habits(ctx: Any) -> Iterator[None]:
    """Answer a flag of Hydra's applications with what does it here."""
    from mythos_lab.recipe.errors import RecipeError
    from mythos_lab.recipe.hydra_habits import of_flag
    from mythos_lab.recipe.screen import escaped

    try:
        yield
    except Exception as error:
        missing = getattr(error, "option_name", None)  # of click's NoSuchOption, wherever typer has its click
        for typed in ctx.meta[_TYPED] if missing is not None else ():
            if typed.startswith(missing) and (said := of_flag(typed)) is not None:
                raise RecipeError(f"{typed}: {said}") from None
        if isinstance(said := getattr(error, "message", None), str):  # of click, which prints what was typed
            error.message = escaped(said)  # type: ignore[attr-defined]
        raise


app = typer.Typer(
    cls=Guarded,
    help="Declare a looped transformer, train it, search around it, and measure what its loops are worth.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _withhold(value: bool) -> bool:
    if value:
        withhold_imports()
    return value


NoImports = Annotated[
    bool,
    typer.Option(OPTION, callback=_withhold, help="Only look: import none of the modules that files name."),
]
"""Of every verb that only looks; it acts by being given."""

Name = Annotated[
    str, typer.Argument(help="A recipe's name, or the path of a YAML file.", autocompletion=completing.recipes)
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        help="path=value, in Hydra's grammar; task=NAME picks a group.", autocompletion=completing.overrides
    ),
]
SpaceName = Annotated[
    str, typer.Argument(help="A search space's name, or the path of a YAML file.", autocompletion=completing.spaces)
]


def _tell_versions(value: bool) -> bool:
    if value:
        from importlib.metadata import version

        from mythos_lab.recipe.screen import say

        say("\n".join(f"{package} {version(package)}" for package in ("mythos-lab", "mythos-blocks", "torch")))
        raise typer.Exit()
    return value


@app.callback()
def _before_every_verb(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_versions, is_eager=True, help="Print versions and exit.")
    ] = False,
) -> None:
    from mythos_lab.cli.output import never_refuse_characters
    from mythos_lab.recipe.screen import guard_errors

    never_refuse_characters()
    guard_errors()


@contextmanager
def one_line_errors() -> Iterator[None]:
    """A user's mistake ends with one line each and status 2; what was stopped, with how to go on and its signal's.

    A study whose workers keep dying ends with status 1 and the place where they say why; so does what a service or the
    machine refuses (:mod:`mythos_lab.cli.failures`).
    """
    from mythos_lab.recipe.errors import Interrupted, RecipeError, WorkersLost
    from mythos_lab.recipe.screen import say

    try:
        yield
    except Interrupted as interrupted:
        say(interrupted)
        raise typer.Exit(interrupted.status) from None
    except RecipeError as error:
        for line in error.lines:
            say(line, file=sys.stderr)
        raise typer.Exit(error.status) from None
    except WorkersLost as error:
        say(error, file=sys.stderr)
        raise typer.Exit(1) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if hasattr(error, "format_message"):  # click's own, which it says itself
            raise
        from mythos_lab.cli.failures import failure

        if (failed := failure(error)) is None:
            raise
        say(failed.line, file=sys.stderr)
        raise typer.Exit(failed.status) from None
