"""The recipes that tests run over, each of which has parts that no other has, and with as few loops as show them.

What every recipe has to be is tests/lab/recipe/test_systems.py's; a test that trains, counts or measures takes these.
"""

DISTINCT = (
    "fixed_depth", "gated_loop", "huginn", "looped", "mqar", "openmythos", "openmythos_as_published", "parcae",
)  # fmt: skip

FEWER_LOOPS = {
    "huginn": ["model.core.loops={kind: poisson_lognormal, mean: 3, maximum: 7, gradient_window: 2}"],
    "openmythos": ["model.core.loops={kind: poisson_lognormal, mean: 2, maximum: 5, gradient_window: 2}"],
    "openmythos_as_published": ["model.core.loops={kind: fixed, num_loops: 4}"],
    "parcae": ["model.core.loops={kind: poisson, mean: 3, maximum: 7, gradient_window: half_mean}"],
}
"""For tests that run every iteration: the recipes' own 12 to 24 are so many of the same."""


def short(name):
    """Overrides with which a recipe loops less and is otherwise as it stands."""
    return FEWER_LOOPS.get(name, [])
