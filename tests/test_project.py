"""What stands around the code: hosted CI, templates, citation, versions, the site's pages, and what wheels hold."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from mythos_blocks.declaring.registry import load_plugins, slots
from mythos_lab.recipe.files import names

PACKAGES = {
    name: tomllib.loads(Path(name, "pyproject.toml").read_text())["project"] for name in ("kernels", "blocks", ".")
}


load_plugins()


class _Loader(yaml.SafeLoader):
    """YAML as the site's generator reads it: tags are let be, and `on` is a word."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in found if tag != "tag:yaml.org,2002:bool" or first not in "oOyYnN"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(path):
    return yaml.load(Path(path).read_text(), Loader=_Loader)  # noqa: S506


def test_hosted_ci_runs_what_ci_runs_on_every_python_that_is_supported():
    workflow = read(".github/workflows/ci.yml")
    assert set(workflow["on"]) == {"push", "pull_request"} and workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    versions = job["strategy"]["matrix"]["python"]
    lowest = {package["requires-python"] for package in PACKAGES.values()}
    assert lowest == {f">={versions[0]}"}
    assert versions == [f"3.{minor}" for minor in range(11, 15)] and all(isinstance(each, str) for each in versions)
    steps = job["steps"]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    assert Path(".ci/run").stat().st_mode & 0o111 and job["timeout-minutes"] <= 120
    for step in steps:
        assert "run" in step or re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]), step
    (setup,) = [step for step in steps if step.get("uses", "").startswith("actions/setup-python")]
    assert setup["with"]["python-version"] == "${{ matrix.python }}"


def test_every_make_target_that_ci_calls_is_there():
    targets = set(re.findall(r"^([a-z]+):", Path("Makefile").read_text(), flags=re.MULTILINE))
    lines = re.findall(r"^make (.*)$", Path(".ci/run").read_text(), flags=re.MULTILINE)
    called = {word for line in lines for word in line.split() if not word.startswith("-")}
    assert {"check", "test", "interop", "site"} <= called <= targets


@pytest.mark.parametrize("path", sorted(Path(".github/ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem)
def test_an_issue_form_is_one(path):
    form = read(path)
    if path.stem == "config":
        assert form == {"blank_issues_enabled": True}
        return
    assert form["name"] and form["description"] and form["labels"]
    ids = [part["id"] for part in form["body"]]
    assert len(set(ids)) == len(ids) and all(part["attributes"]["label"] for part in form["body"])
    assert {part["type"] for part in form["body"]} <= {"textarea", "input", "dropdown", "checkboxes", "markdown"}


def test_versions_are_one_and_stand_in_the_citation_and_the_changes():
    (version,) = {package["version"] for package in PACKAGES.values()}
    citation = read("CITATION.cff")
    assert citation["version"] == version and citation["license"] == PACKAGES["."]["license"]
    assert citation["cff-version"] == "1.2.0" and citation["authors"] == [{"name": "MythosLab"}]
    assert re.search(rf"^## {re.escape(version)}\b", Path("CHANGELOG.md").read_text(), flags=re.MULTILINE)


def pages(nav):
    for entry in nav:
        (target,) = entry.values()
        yield from pages(target) if isinstance(target, list) else [target]


def test_every_page_of_the_documentation_is_in_the_sites_contents_once():
    listed = list(pages(read("mkdocs.yml")["nav"]))
    root = {page for page in listed if not Path("docs", page).is_file()}
    assert root == {"CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"} and all(Path(page).is_file() for page in root)
    assert sorted(set(listed) - root) == sorted(str(p.relative_to("docs")) for p in Path("docs").rglob("*.md"))
    assert len(set(listed)) == len(listed)


def test_every_figure_says_how_it_is_made_again():
    said = Path("CONTRIBUTING.md").read_text()
    patterns = [re.escape(each).replace(r"\*", "[a-z_]*") for each in re.findall(r"`(docs/[\w*/.-]+\.png)`", said)]
    for figure in Path("docs").rglob("*.png"):
        assert any(re.fullmatch(pattern, str(figure)) for pattern in patterns), figure


def test_wheels_in_a_bare_place_hold_all_that_the_command_reads(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path)]
    subprocess.run([*build, "./kernels", "./blocks", "."], check=True)
    bare, wheels = tmp_path / "bare", sorted(tmp_path.glob("*.whl"))
    assert len(wheels) == 3
    for wheel in wheels:
        zipfile.ZipFile(wheel).extractall(bare)
    code = (
        f"import sys; sys.path.insert(0, {str(bare)!r})\n"
        "import mythos_blocks, mythos_kernels, mythos_lab, mythos_blocks.testing\n"
        "from mythos_lab.cli import app\n"
        "from mythos_lab.recipe.files import data_dir, names\n"
        "from mythos_lab.authoring.component import new_component\n"
        "from pathlib import Path\n"
        "print({Path(m.__file__).parents[1] for m in (mythos_blocks, mythos_kernels, mythos_lab)} == {Path(sys.path[0])})\n"
        "print(*names('recipes')); print(*sorted(p.stem for p in data_dir('skeletons').glob('*.py')))\n"
        "print(sorted(p.name for p in (data_dir('report') / 'page').glob('page.*')), data_dir('recipes').parent)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    is_bare, recipes, skeletons, page = done.stdout.splitlines()
    assert is_bare == "True" and recipes.split() == names("recipes") and skeletons.split() == sorted(slots())
    assert page == f"['page.css', 'page.html.jinja', 'page.py'] {bare / 'mythos_lab'}"
