"""What starts the laboratory elsewhere: a container's file, a Job of Kubernetes. Neither is run here; both are read."""

import json
import re
import signal
from pathlib import Path

import jsonschema
import pytest
import typer.main
import yaml

from mythos_lab.cli import app
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.search.spaces.space import STORAGE_VARIABLE
from mythos_lab.search.unattended import INDEX_VARIABLES

SCHEMA = json.loads(Path("deploy/job.schema.json").read_text())
STEPS = re.findall(r"^([A-Z]+) (.*)$", Path("Containerfile").read_text(), flags=re.MULTILINE)
README = Path("README.md").read_text()


def job():
    return yaml.safe_load(Path("deploy/job.yaml").read_text())


def test_the_job_is_one_of_kubernetes_and_its_worker_a_command_of_ours():
    found = job()
    jsonschema.validate(found, SCHEMA)
    (container,) = found["spec"]["template"]["spec"]["containers"]
    program, verb, *arguments = container["command"]
    worker = typer.main.get_command(app).commands[verb]
    given = worker.make_context(verb, list(arguments)).params
    assert program == "mythos" and verb == "worker"
    assert given["space"].startswith(container["volumeMounts"][0]["mountPath"]) and given["artifacts"]
    secrets = {each["name"]: each["valueFrom"] for each in container["env"] if "valueFrom" in each}
    assert set(secrets[STORAGE_VARIABLE]) == {"secretKeyRef"} and given["storage"] is None
    assert "JOB_COMPLETION_INDEX" in INDEX_VARIABLES and found["spec"]["completionMode"] == "Indexed"


def test_what_a_workers_end_says_is_what_the_job_makes_of_it():
    policy = job()["spec"]["podFailurePolicy"]["rules"]
    actions = {status: rule["action"] for rule in policy for status in rule.get("onExitCodes", {}).get("values", [])}
    assert actions == {RecipeError("a mistake").status: "FailJob", 128 + signal.SIGTERM: "Ignore"}


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda job: job["spec"].update(paralellism=8), "paralellism"),
        (lambda job: job["spec"]["template"]["spec"].pop("containers"), "containers"),
        (lambda job: job["spec"].update(completions="8"), "is not of type"),
    ],
)
def test_a_mistake_in_the_job_is_seen(spoil, said):
    spoil(wrong := job())
    with pytest.raises(jsonschema.ValidationError, match=said):
        jsonschema.validate(wrong, SCHEMA)


def test_the_container_has_what_the_readme_says_that_its_two_commands_need():
    (needs,) = re.findall(r"You need Python ([\d.]+), pip, (\w+) and (\w+)\.", README)
    steps = {name: [text for step, text in STEPS if step == name] for name, _ in STEPS}
    assert steps["FROM"] == [f"python:{needs[0]}-slim-bookworm"]
    installed = re.search(r"install --yes --no-install-recommends ([\w ]+) &&", steps["RUN"][0])[1]
    assert set(installed.split()) == set(needs[1:])
    study, test = re.findall(r"^make (\w+) ", README, flags=re.MULTILINE)[:2]
    assert (study, test) == ("study", "test") and json.loads(steps["CMD"][0]) == ["make", study]
    targets = re.findall(r"^([\w./$()-]+): ?(.*?)(?:  ##.*)?$", Path("Makefile").read_text(), flags=re.MULTILINE)
    assert {target: stamp for target, stamp in targets if target in (study, test)} == dict.fromkeys(
        (study, test), "$(STAMP)"
    )
    assert steps["RUN"][-1] == "make .venv/.installed" and "STAMP := $(VENV)/.installed" in Path("Makefile").read_text()
    assert "COPY --chown=1000:1000 . ." in [f"{name} {text}" for name, text in STEPS]
    left_out = set(Path(".dockerignore").read_text().split())
    assert ".venv*" in left_out and ".git" not in left_out, "the tests ask git"
    assert steps["USER"] == [str(job()["spec"]["template"]["spec"]["securityContext"]["runAsUser"])]
