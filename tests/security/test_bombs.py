"""Small files that would fill a memory or a lifetime: each is refused in a line, in seconds, by a child with limits."""

import bz2
import gzip
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mythos_lab.search.spaces.expression import parse

_SECONDS = 8.0  # of one CPU, for each file

LEVELS = range(1, 9)
ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in LEVELS
)
REFERENCES = {"a0": [1] * 9} | {f"a{i}": [f"${{a{i - 1}}}"] * 9 for i in LEVELS}
CHAIN = {"a0": 1} | {f"a{i}": f"${{a{i - 1}}}" for i in range(1, 3000)}
TEXTS = {"a0": "x" * 90} | {f"a{i}": f"${{a{i - 1}}}" * 10 for i in LEVELS}
CONSTRAINTS = [
    "9**9**9**9 < width", "width**9**9**9 < 1", "'a' * 10**9 == name", "[1] * 10**10 == width", "(0,) * 9**9 < width",
    "width in [1] * 10**9", "9" * 990 + " < width", "*".join(["9" * 90] * 10) + " == width", "1 << 10**10 < width",
    "2.0**-9**9**9 < width", "-" * 900 + "1 < width", "(" * 200 + "width" + ")" * 200 + " < 1", "max('a', width) < 1",
    "width % 1e-300 < 1", "abs(-9**99) * 9**308 < width", "not not width < 1", "width if 1 else 2 < 1", "f'{width:10000000000}' < 1",
    "width.__class__ < 1", "(lambda: 1)() < width", "[x for x in width] < 1", "log(width) ** 1e308 < 1", "width // 1e-308 < 1",
]  # fmt: skip


def _sparse(path, size, start=b""):
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)
    return path


def _safetensors(path, header, size=0):
    body = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(body)) + body + bytes(size))
    return path


def _declared(folder, name, **model):
    declared = {"version": 1, "model": model, "context": [16], "notes": {}, "buffers": {}}
    header = {"__metadata__": {"format": "pt", "mythos_blocks": json.dumps(declared)}}
    return _safetensors(folder / name, header)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """How each bomb ended in the child: by what was read and its name."""
    folder = tmp_path_factory.mktemp("bombs")
    asked = {("constraint", text): text for text in CONSTRAINTS}
    asked |= {
        ("references", name): config for name, config in (("lists", REFERENCES), ("chain", CHAIN), ("texts", TEXTS))
    }
    for name, path in _files(folder):
        asked[name, path.name] = str(path)
    lines = "".join(json.dumps([name, argument]) + "\n" for (name, _), argument in asked.items())
    done = subprocess.run(
        [sys.executable, "-m", "tests.security.child", str(_SECONDS)],
        input=lines,
        capture_output=True,
        text=True,
        timeout=500,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(asked), done.stderr[-2000:]
    return dict(zip(asked, found, strict=True))


def _files(folder: Path):
    def write(name, content):
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    yaml = write("aliases.yaml", ALIASES)
    deep = write("deep.yaml", "[" * 5000)
    digits = write("digits.yaml", "a: 1." + "1" * 10**6)
    many = write("many.yaml", "model: {a: [" + "1," * 100_000 + "]}\n")
    os.mkfifo(folder / "pipe.yaml")
    huge = _sparse(folder / "huge.yaml", 2**40)
    for path in (yaml, deep, digits, many, folder / "pipe.yaml", huge):
        yield "yaml", path
        yield "inspect", path
    for path in (yaml, deep, many, folder / "pipe.yaml", huge):
        yield "recipe", path
        yield "space", path
    twice = write("twice.yaml", "defaults: [f0@a, f0@b]\nname: x\n")
    for i in range(12):
        write(f"f{i}.yaml", f"defaults: [f{i + 1}@a, f{i + 1}@b]\nx: 1\n")
    write("f12.yaml", "x: 1\n")
    yield "recipe", twice
    yield "recipe", write("thirty.yaml", "defaults: [" + ", ".join(f"f{i}@a{i}" for i in range(12)) + "]\nname: x\n")
    yield "recipe", write("circle.yaml", "defaults: [circle@a]\nname: x\n")
    log = '{"op_code":0,"worker_id":"w","study_name":"s","directions":[1]}\n'
    for name, content in (
        ("nested.log", log + '{"op_code":2,"study_id":0,"user_attr":' + "[" * 10**5 + "]" * 10**5 + "}\n"),
        ("unknown.log", log + '{"op_code":99,"worker_id":"w"}\n'),
        ("missing.log", log + '{"op_code":4,"worker_id":"w"}\n'),
        ("types.log", log + '{"op_code":4,"worker_id":"w","study_id":[],"datetime_start":7}\n'),
        ("digits.log", log + '{"op_code":4,"worker_id":"w","study_id":' + "9" * 5000 + "}\n"),
    ):
        yield "journal", write(name, content + log.replace('"s"', '"t"'))
    for path in (_sparse(folder / "zeros.log", 2**40), _sparse(folder / "line.log", 2**31, log.encode())):
        yield "journal", path
        yield "inspect", path
    yield "weights", write("length.safetensors", struct.pack("<Q", 2**62) + b"{}")
    yield "weights", _sparse(folder / "header.safetensors", 2**40, struct.pack("<Q", 2**39) + b'{"a":[')
    absurd = {"a": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 2**62]}}
    yield "weights", _safetensors(folder / "shape.safetensors", absurd)
    yield "weights", _declared(folder, "depth.safetensors", core={"depth": 10**9})
    yield "weights", _declared(folder, "width.safetensors", width=2**40)
    yield "values", _sparse(folder / "run.json", 2**40, b"{")
    yield "values", write("deep.json", "[" * 10**6)
    with zipfile.ZipFile(folder / "packed.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**26))
    yield "checkpoint", folder / "packed.ckpt"
    yield "checkpoint", write("text.ckpt", "no archive")
    (folder / "gz").mkdir()
    yield "corpus", write("zeros.txt.gz", gzip.compress(b"a" * 2**27, 9))
    yield "corpus", write("rows.jsonl.bz2", bz2.compress(b'{"text": "' + b"a" * 2**27 + b'"}\n'))


def test_a_bomb_is_refused_in_a_line_and_in_seconds(ended):
    may = {"constraint": ("accepted", "refused"), "inspect": ("accepted",)}
    bad = {
        name: how
        for name, how in ended.items()
        if how[1] not in may.get(name[0], ("refused",)) and name != ("yaml", "digits.yaml")
    }
    assert bad == {}


@pytest.mark.parametrize(
    "text", ["'a' * 10**9 == name", "[1] * 10**10 == width", "width in [(0,) * 9**9]", "'a' + 'b' == name"]
)
def test_constraints_reckon_with_numbers_alone(text):
    with pytest.raises(ValueError, match="only those are reckoned with"):
        parse(text)
