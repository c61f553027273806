"""``mythos report`` of a run, of a study by its folder and its file, and of folders."""

import json

import pytest
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.training.result import MEASURES, read_values
from tests.lab.cli.verbs import ARMS, DEEP, FULL


def told(*arguments):
    result = CliRunner().invoke(app, ["report", *arguments, "--json"])
    assert result.exit_code == 0, (result.output, repr(result.exception))
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    "targets", [[f"{FULL}/seed-0"], ["studies/tiny"], ["tiny.yaml"]], ids=lambda t: t[0].split("/")[0]
)
def test_a_page_becomes_an_artifact_of_its_run(lab, targets):
    before = set((lab / "mlruns").rglob("report.html"))
    said = told(*targets)
    assert "untracked" not in said and (lab / said["page"]).is_file()
    (found,) = set((lab / "mlruns").rglob("report.html")) - before or before
    assert said["answer"].split()[0] in (lab / said["page"]).read_text()
    for path in (lab / "mlruns").rglob("report.html"):
        path.unlink()
    assert found.name == "report.html"


def test_a_studys_folder_says_as_much_as_its_file(lab):
    pages = {}
    for target in ("studies/tiny", "tiny.yaml"):
        page = (lab / told(target, "--output", "out")["page"]).read_text()
        pages[target] = page.partition("<h2>To repeat</h2>")[0]
    assert pages["studies/tiny"] == pages["tiny.yaml"]


def test_folders_are_arms_and_what_a_folder_holds_is_all_of_them(lab):
    by_hand = told(*ARMS, "--declare", "model", "--output", "out")
    page = (lab / by_hand["page"]).read_text()
    assert page.count("<figure") == 2 and "not enough seeds" in page
    single = told(FULL, "--output", "out")  # two seeds of one arm
    assert single["answer"].startswith("The question cannot be answered: no two arms can be compared")
    several = told(f"{FULL}/seed-0", f"{FULL}/seed-1", f"{DEEP}/seed-0", "--output", "out")
    assert "one seed tells nothing" in several["answer"]


def test_what_was_measured_later_stands_on_the_page(lab):
    run = lab / FULL / "seed-0"
    assert CliRunner().invoke(app, ["measure", str(run), "commit"]).exit_code == 0
    kept = read_values(run, MEASURES)
    assert {"loop_verdict", "commit"} <= set(kept)
    assert kept["commit"]["finding"] in (lab / told(str(run), "--output", "out")["page"]).read_text()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["nowhere"], "nowhere"),
        (["studies"], "studies: holds no run, no study and no folders of runs"),
        ([f"{FULL}/seed-0", "--metric", "val/acuracy"], "val/accuracy"),
        (["tiny.yaml", "--metric", "val/accuracy"], "tiny.yaml: --metric and --declare are of several runs"),
        ([f"{FULL}/seed-0", f"{FULL}/seed-0"], "has seed 0, as"),
    ],
)
def test_what_is_no_run_and_no_study_is_one_line(lab, arguments, said):
    result = CliRunner().invoke(app, ["report", *arguments])
    assert result.exit_code == 2 and said in result.stderr and len(result.stderr.strip().splitlines()) == 1
