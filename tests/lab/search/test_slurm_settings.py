"""Whatever sbatch takes can be said in sbatch's own words."""

import pytest

from mythos_lab.recipe.errors import RecipeError
from mythos_lab.search.engines.slurm_settings import read_settings


@pytest.mark.parametrize(
    "setting, read",
    [
        ("time=90", {"timeout_min": 90}),
        ("time=90:01", {"timeout_min": 91}),
        ("time=1:30:00", {"timeout_min": 90}),
        ("time=1-12", {"timeout_min": 36 * 60}),
        ("time=1-12:30", {"timeout_min": 36 * 60 + 30}),
        ("timeout-min=0-0:05:59", {"timeout_min": 6}),
        ("mem=16G", {"mem_gb": 16.0}),
        ("mem=512M", {"mem_gb": 0.5}),
        ("mem=4096", {"mem_gb": 4.0}),
        ("mem_gb=4", {"mem_gb": 4}),
        ("mem_gb=1T", {"mem_gb": 1024.0}),
        ("mem-per-cpu=4G", {"slurm_mem_per_cpu": "4G"}),
        ("mail-user=a@b", {"slurm_mail_user": "a@b"}),
        ("job-name=mine", {"name": "mine"}),
        ("gpus-per-node=1", {"gpus_per_node": 1}),
        ("licenses=matlab:1", {"slurm_additional_parameters": {"licenses": "matlab:1"}}),
        ("reservation=r", {"slurm_additional_parameters": {"reservation": "r"}}),
        ("oversubscribe=true", {"slurm_additional_parameters": {"oversubscribe": True}}),
        ("additional_parameters.new-in-26=x", {"slurm_additional_parameters": {"new-in-26": "x"}}),
    ],
)
def test_an_option_of_sbatch_is_passed_on(setting, read):
    assert read_settings([setting]) == read


@pytest.mark.parametrize("name", ["array", "output", "wrap", "nodes", "time-min", "resarvation"])
def test_what_would_break_a_worker_or_is_none_is_refused(name):
    with pytest.raises(RecipeError, match=f"--slurm {name}"):
        read_settings([f"{name}=2"])
