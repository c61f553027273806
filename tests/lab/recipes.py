"""The recipes that tests run over, each of which has parts that no other has.

What every recipe has to be is tests/lab/recipe/test_systems.py's; a test that trains, counts or measures takes these.
"""

DISTINCT = (
    "fixed_depth", "gated_loop", "huginn", "looped", "mqar", "openmythos", "openmythos_as_published", "parcae",
)  # fmt: skip
