"""What recipes of the tree learn when they are trained as they stand, or nearly."""

import pytest

from mythos_lab.recipe import load_recipe
from mythos_lab.training.run import run
from tests.lab.recipes import short
from tests.lab.training.runs import history


@pytest.mark.slow
def test_gated_loop_climbs_the_staircase(tmp_path):
    """Chance, or what the task's own audit allows, until the loops reach the hops; then at least 0.99."""
    recipe = load_recipe("gated_loop")
    result = run(recipe)
    bound = {(s.feature, s.difficulty): s.accuracy for s in recipe.task.build().audit(20_000)}
    assert result.metrics["val/accuracy"] >= 0.99
    for loops in range(1, 5):
        for hops, tally in result.curve.scores[loops].by_difficulty.items():
            accuracy = tally.accuracy
            samples = result.curve.scores[loops].num_scored / 4
            if loops >= hops:
                assert accuracy >= 0.99, (loops, hops)
            else:
                # Four standard errors of the validation split around what the audit measured.
                allowed = max(0.5, bound[f"ball of radius {loops}", hops])
                assert accuracy <= allowed + 4 * (allowed * (1 - allowed) / samples) ** 0.5, (loops, hops)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openmythos", "fixed_depth"])
def test_language_models_lower_their_bits_per_byte_steadily(name, tmp_path):
    result = run(
        load_recipe(
            name,
            [
                *short(name),
                "training.max_steps=60",
                "training.validate_every=20",
                "training.num_threads=1",
                "task.length=64",
                "task.validation_size=64",
                "measures=[]",
                "monitor.measures=[]",
                "evaluation.knockouts=false",
                "evaluation.depth_factor=1",
            ],
        )
    )
    bits = [value for _, value in history(result.run_id, "val/bits_per_byte")]
    assert len(bits) == 3 and bits[0] > bits[1] > bits[2] and bits[2] < 5
