"""Searching: studies, and where they are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mythos_lab.cli.app import NoImports, SpaceName, app
from mythos_lab.cli.output import Json, telling

Artifacts = Annotated[
    str | None,
    typer.Option(
        help="Where runs are kept for machines that share no folder, a path or a URL such as s3://bucket/folder; "
        "MYTHOS_ARTIFACTS without."
    ),
]


@app.command()
def study(
    space: SpaceName,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials in all, those of earlier calls included.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Trials that run at once.")] = None,
    storage: Annotated[
        str | None, typer.Option(help="Optuna's storage URL; the same for every machine that is to take part.")
    ] = None,
    artifacts: Artifacts = None,
    engine: Annotated[str, typer.Option(help="What places the workers: local, ray or slurm.")] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="Ray cluster; RAY_ADDRESS without, or a Ray of its own on this machine.")
    ] = None,
    cpus_per_trial: Annotated[float | None, typer.Option(min=0, help="CPUs that Ray reserves for a trial.")] = None,
    gpus_per_trial: Annotated[float | None, typer.Option(min=0, help="GPUs that Ray reserves for a trial.")] = None,
    resources: Annotated[
        str | None, typer.Option(help="What else Ray reserves for a trial, as JSON: '{\"a100\": 1}'.")
    ] = None,
    carry: Annotated[
        bool,
        typer.Option(
            "--carry",
            help="Have Ray bring the working directory, without runs, links and hidden files, to machines that share "
            "no folder; needs --artifacts.",
        ),
    ] = False,
    slurm: Annotated[
        list[str] | None, typer.Option(help="key=value for SLURM, such as partition=gpu or timeout_min=240; repeat.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Search with Optuna; the same command again goes on with the study, and on another machine takes part in it.

    Examples: `mythos study quickstart --trials 12 --workers 2`,
    `mythos study quickstart --engine slurm --workers 8 --slurm partition=gpu --slurm gpus_per_node=1`
    """
    with telling(as_json) as tell:
        from mythos_lab.recipe.outputs import check_writable
        from mythos_lab.search.spaces.space import load_space

        loaded = load_space(space, storage=storage, artifacts=artifacts)
        check_writable(loaded.folder)
        from mythos_lab.comparison.conclude import concluding
        from mythos_lab.search.study import run_study

        options = {
            "ray_address": ray_address,
            "cpus_per_trial": cpus_per_trial,
            "gpus_per_trial": gpus_per_trial,
            "resources": resources,
            "carry": carry or None,
            "slurm": slurm,
        }
        conclude = concluding(tell)
        run_study(loaded, num_trials=trials, num_workers=workers, engine=engine, options=options, conclude=conclude)


@app.command()
def worker(
    space: SpaceName,
    storage: Annotated[str | None, typer.Option(help="Optuna's storage URL, as for the study.")] = None,
    artifacts: Artifacts = None,
    index: Annotated[
        int | None,
        typer.Option(min=0, help="Which of the workers this is; JOB_COMPLETION_INDEX or SLURM_PROCID without."),
    ] = None,
) -> None:
    """Be a worker of a study, and nothing else: what a container, a workflow's step or another's desktop runs.

    It ends with 0 once all trials are settled. SIGTERM and Ctrl-C have it lay its trial down at a checkpoint, SIGUSR1
    bring it to its end; it then ends with 128 and the signal's number, and the same command goes on.

    Example: `MYTHOS_STORAGE=postgresql+psycopg://me:secret@db/studies mythos worker quickstart`
    """
    from mythos_lab.recipe.outputs import check_writable
    from mythos_lab.search.spaces.space import load_space

    loaded = load_space(space, storage=storage, artifacts=artifacts)
    check_writable(loaded.folder)
    from mythos_lab.search.unattended import take_part

    take_part(loaded, index)


@app.command()
def proxy(
    storage: Annotated[str, typer.Option(envvar="MYTHOS_STORAGE", help="URL of the database.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 13000,
    host: Annotated[
        str,
        typer.Option(help="Where to listen; an address that other machines reach needs a token, MYTHOS_PROXY_TOKEN."),
    ] = "localhost",
    tls_cert: Annotated[Path | None, typer.Option(help="PEM file of a certificate, to encrypt with.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's private key.")] = None,
) -> None:
    """Put Optuna's gRPC proxy before a database: many workers share its connections.

    It stays on this machine; another reaches it by a tunnel, `ssh -N -L 13000:localhost:13000 HOST`, or with a token,
    which `--tls-cert` and `--tls-key` encrypt: `grpcs://:TOKEN@HOST:13000` there.

    Example: `MYTHOS_STORAGE=postgresql+psycopg://me:secret@db/studies mythos proxy`, and then
    `mythos study quickstart --storage grpc://localhost:13000`
    """
    from mythos_lab.search.proxy import serve

    serve(storage, host, port, tls_cert, tls_key)


@app.command()
def holdout(
    space: SpaceName,
    storage: Annotated[str | None, typer.Option(help="Optuna's storage URL, as for the study.")] = None,
    artifacts: Artifacts = None,
    no_imports: NoImports = False,
    as_json: Json = False,
) -> None:
    """Evaluate what a finished study chose on the test split, once; the study then takes no further trials.

    Example: `mythos holdout studies/openmythos-ablation.yaml`
    """
    with telling(as_json) as tell:
        from mythos_lab.comparison.holdout import open_holdout
        from mythos_lab.comparison.reporting.holdout import holdout_report
        from mythos_lab.search.opening import find_study
        from mythos_lab.search.spaces.space import load_space

        loaded = load_space(space, storage=storage, artifacts=artifacts)
        tell(holdout_report(loaded, open_holdout(loaded, find_study(loaded))))
