"""Whatever the output is, it holds all that was found: at any width, through a pipe, in any encoding, as JSON."""

import io
import json
import re

import pytest
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.report.report import Report
from mythos_lab.report.terminal import lines, show
from tests.lab.cli.verbs import NO_RESULT, RESULTS, names

_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?: ?[%kMGTP](?![A-Za-z]))?")
_FACTORS = {"%": 0.01, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}


def test_every_verb_prints_json_or_is_named_as_one_that_has_no_result():
    assert set(RESULTS) | set(NO_RESULT) == names() and not set(RESULTS) & set(NO_RESULT)


@pytest.fixture(scope="module")
def told(trained):
    """What each verb found, called once: its document, its report, and its standard error."""
    found = {}

    def tell(verb):
        if verb not in found:
            kept = Report()
            with pytest.MonkeyPatch.context() as patch:
                know = Report.know

                def recording(report, facts):
                    know(report, facts)
                    if report.parts and report not in seen:
                        seen.append(report)

                seen = []
                patch.setattr(Report, "know", recording)
                result = CliRunner().invoke(app, [verb, *RESULTS[verb], "--json"])
            assert result.exit_code == 0, (result.output, repr(result.exception))
            for report in seen:
                kept.parts += report.parts
            found[verb] = json.loads(result.stdout, parse_constant=pytest.fail), kept
        return found[verb]

    return tell


def numbers_in(text):
    """Each number of a text as its value and half a unit of its last digit."""
    for found in _NUMBER.findall(text):
        digits, factor = found.rstrip("%kMGTP ").replace(",", ""), _FACTORS.get(found[-1], 1.0)
        mantissa, _, exponent = digits.partition("e")
        places = len(mantissa.partition(".")[2])
        # A number that is written with four digits may end in zeros that are not written.
        unit = 10.0 ** (int(exponent or 0) - places)
        yield float(digits) * factor, max(0.501 * unit, 0.0006 * abs(float(digits))) * factor


def values_of(document):
    """The numbers of a document."""
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        return [value for inner in document for value in values_of(inner)]
    return [document] if isinstance(document, int | float) and not isinstance(document, bool) else []


def missing(document, text):
    """Numbers of a document that no number of the text is near, as the text rounds them."""
    shown = list(numbers_in(text))
    return [v for v in values_of(document) if not any(abs(abs(v) - abs(t)) <= unit for t, unit in shown)]


@pytest.mark.parametrize("verb", RESULTS)
def test_every_number_of_the_document_is_in_the_text_at_every_width_and_in_every_encoding(told, lab, verb):
    document, report = told(verb)
    for width in (40, 80, 200, None):
        text = "\n".join(line.text for line in lines(report, width))
        assert not missing(document, text), width
        assert "…" not in text and "\x1b" not in text
        for encoding in ("utf-8", "latin-1", "ascii"):
            written = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
            show(report, written, width)
            written.flush()
            read = re.sub(r"\x1b\[[\d;]*m", "", written.buffer.getvalue().decode(encoding))
            assert read == "".join(
                f"{line}\n" for line in text.encode(encoding, "replace").decode(encoding).split("\n")
            )


@pytest.mark.parametrize("verb", RESULTS)
def test_tables_through_a_pipe_have_as_many_fields_in_every_row(told, lab, verb):
    from mythos_lab.report.layout import laid_out
    from mythos_lab.report.table import Table

    for table in (part for part in told(verb)[1].parts if isinstance(part, Table)):
        rows = [line.text for line in laid_out(table, None) if not line.is_head]
        assert len(rows) == len(table.rows)
        assert {len(re.split(r" {2,}", row.strip())) for row in rows} <= {len(table.columns)}


def test_what_is_piped_is_what_was_told(told, lab):
    result = CliRunner().invoke(app, ["depth", *RESULTS["depth"]])
    assert result.stdout == "".join(f"{line.text}\n" for line in lines(told("depth")[1], None))
