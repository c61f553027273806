"""Pages and their records: a page is what its protocol and its record say, and nothing is made of other records."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.comparison.reproduce import load_protocol
from mythos_lab.comparison.reproduce.page import page
from mythos_lab.comparison.reproduce.record import read_record
from tests.lab.comparison.test_reproduce import FILE, protocol, recorded

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "systems").glob("*.json")), ids=lambda path: path.stem)
def test_a_page_of_ours_is_what_its_protocol_and_its_record_say(path):
    record = read_record(path)
    assert page(load_protocol(record.name), record) == path.with_suffix(".md").read_text(), "mythos reproduce --page"


@pytest.mark.parametrize(
    "spoiled, said",
    [
        ({"arms": {"once": {}}, "tables": FILE["tables"][2:], "fits": {}}, "is of other arms"),
        (
            {"tables": [{"title": "Numbers", "columns": {"x": "val/bits_per_byte"}}]},
            "has no val/bits_per_byte of looped",
        ),
        ({"name": "other"}, "other.json: is not there"),
    ],
)
def test_a_page_is_not_made_again_of_a_record_that_has_not_what_it_shows(tmp_path, spoiled, said):
    folder = tmp_path / "pages"
    folder.mkdir()
    recorded(folder, looped=[{"val/loss": 1.0}], once=[{}])
    path = protocol(folder, **{"bands": FILE["bands"][:1], **spoiled})
    if "arms" in spoiled:
        path = protocol(folder, **spoiled, bands=[{"claim": "c", "of": {"arm": "once", "read": "x"}, "at_most": 1}])
    done = CliRunner().invoke(app, ["reproduce", str(path), "--page", "--out", str(folder)])
    assert done.exit_code != 0 and said in done.output and len(done.output.splitlines()) == 1, done.output
