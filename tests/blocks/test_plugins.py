"""A package of somebody else's adds components by its entry point; the blocks alone import little."""

import subprocess
import sys
import textwrap

import pytest


def run(script, *paths):
    """The output of a script in a fresh interpreter that finds packages in ``paths`` first."""
    setup = f"import sys; sys.path[:0] = {[str(path) for path in paths]!r}\n"
    command = [sys.executable, "-c", setup + textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def installed(tmp_path):
    """A third-party package as pip would leave it: a module and its metadata."""
    (tmp_path / "halves.py").write_text(
        textwrap.dedent(
            '''
            """Components of somebody else."""

            import torch
            from mythos_blocks import Update, component
            from mythos_blocks.declaring.types import Positive


            @component("update", "halves")
            class Halves(Update):
                """A share of the core's output.

                Args:
                    share: How much of it.
                """

                def __init__(self, width: int, *, share: Positive = 0.5) -> None:
                    super().__init__()
                    self.share = share

                def forward(self, h, u, carry, t):
                    return self.share * u + (1 - self.share) * h, None
            '''
        )
    )
    metadata = tmp_path / "halves-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: halves\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[mythos.components]\nhalves = halves\n")
    return tmp_path


def test_a_component_of_an_installed_package_is_declarable_after_load_plugins(installed):
    script = """
        import mythos_blocks as mb, torch
        from mythos_blocks.declaring.registry import slot_info
        from mythos_blocks.declaring.spec import json_schema
        before = "halves" in slot_info("update").kinds
        mb.load_plugins()
        mb.load_plugins()
        model = mb.LoopedTransformer(9, width=16, core={"update": {"kind": "halves", "share": 0.25}})
        logits = model(torch.zeros(1, 3, dtype=torch.long)).logits
        schema = json_schema(mb.LoopedTransformer.Spec)["$defs"]["update.halves"]
        print(before, type(model.core.update).__module__, model.core.update.share, tuple(logits.shape))
        print(schema["properties"]["share"]["description"])
    """

    assert run(script, installed).splitlines() == ["False halves 0.25 (1, 3, 9)", "How much of it."]


def test_its_component_is_unknown_until_then(installed):
    script = """
        import mythos_blocks as mb
        try:
            mb.LoopedTransformer.Spec(core={"update": "halves"})
        except ValueError as error:
            print("unknown update 'halves'" in str(error))
    """

    assert run(script, installed) == "True"


def test_importing_the_blocks_imports_no_platform_no_triton_and_no_table_library():
    script = """
        import sys
        import annotated_types, pydantic, torch
        before = {name.partition(".")[0] for name in sys.modules}
        import mythos_blocks
        added = {name.partition(".")[0] for name in sys.modules} - before
        unwanted = {
            "lightning", "pytorch_lightning", "mlflow", "optuna", "hydra", "omegaconf", "pandas", "scipy",
            "matplotlib", "sklearn", "sympy", "triton", "mythos_lab", "open_mythos", "yaml", "rich", "typer",
        }
        print(sorted(added & unwanted), sorted(n for n in added - set(sys.stdlib_module_names) if n[0] != "_"))
    """

    assert run(script) == "[] ['mythos_blocks', 'mythos_kernels']"
