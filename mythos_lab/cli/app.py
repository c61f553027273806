"""The application that the verbs register with, and what they share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup


class Guarded(TyperGroup):
    """Every verb within :func:`one_line_errors`, whatever it does first or last."""

    def invoke(self, ctx: Any) -> Any:
        with one_line_errors():
            return super().invoke(ctx)


app = typer.Typer(
    cls=Guarded,
    help="Declare a looped transformer, train it, search around it, and measure what its loops are worth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

Name = Annotated[str, typer.Argument(help="A recipe's name, or the path of a YAML file.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="path=value, in Hydra's grammar; task=NAME picks a group.")]


@app.callback()
def _before_every_verb() -> None:
    from mythos_lab.cli.output import never_refuse_characters

    never_refuse_characters()


@contextmanager
def one_line_errors() -> Iterator[None]:
    """A user's mistake ends with one line each and status 2; what was stopped, with how to go on and its signal's.

    A study whose workers keep dying ends with status 1 and the place where they say why; so does what a service or the
    machine refuses (:mod:`mythos_lab.cli.failures`).
    """
    from mythos_lab.recipe.errors import Interrupted, RecipeError, WorkersLost

    try:
        yield
    except Interrupted as interrupted:
        print(interrupted)
        raise typer.Exit(interrupted.status) from None
    except RecipeError as error:
        for line in error.lines:
            print(line, file=sys.stderr)
        raise typer.Exit(error.status) from None
    except WorkersLost as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        from mythos_lab.cli.failures import failure

        if (failed := failure(error)) is None:
            raise
        print(failed.line, file=sys.stderr)
        raise typer.Exit(failed.status) from None
