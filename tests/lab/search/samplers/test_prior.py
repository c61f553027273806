"""Priors: drawn around early on, overcome where they are wrong, and without any effect where there are none."""

import math

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from mythos_lab.search.samplers import StudyFacts, make_sampler, resolve_sampler
from mythos_lab.search.samplers.prior import TRIALS, WEIGHTS, WIDTHS, Prior, PriorSampler, prior_share

CONFIDENCES = ["low", "medium", "high"]


def study_of(written, priors, *, num_trials=60, seed=0):
    facts = StudyFacts(num_trials, num_params=4, num_categorical=1)
    named, _ = resolve_sampler(written, facts, priors)
    return optuna.create_study(sampler=make_sampler(named, facts, seed=seed, priors=priors))


def suggest(trial):
    """A small search over a looped model: rate, loops, width and injection."""
    return (
        trial.suggest_float("rate", 1e-5, 1.0, log=True),
        trial.suggest_int("loops", 1, 32, log=True),
        trial.suggest_int("width", 64, 512, step=8),
        trial.suggest_categorical("injection", ["none", "add", "lti", "concat"]),
    )


def distance(rate, loops, width, injection):
    """To the planted optimum (3e-3, 6, 200, lti)."""
    numbers = math.log10(rate / 3e-3) ** 2 + math.log2(loops / 6) ** 2 / 2 + ((width - 200) / 100) ** 2
    return numbers + (injection != "lti")


def best_so_far(study, num_trials):
    best = []
    for _ in range(num_trials):
        trial = study.ask()
        study.tell(trial, distance(*suggest(trial)))
        best.append(study.best_value)
    return best


def around(rate, loops, width, injection, confidence):
    values = {"rate": rate, "loops": loops, "width": width, "injection": injection}
    return {name: Prior(value, confidence) for name, value in values.items()}


# One draw


@pytest.mark.filterwarnings("ignore:The distribution is specified by")
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_draw_is_a_value_of_its_distribution(data):
    kind = data.draw(
        st.sampled_from(["float", "log float", "float by steps", "int", "log int", "int by steps", "choice"])
    )
    low = data.draw(st.integers(1, 50) if "log" in kind else st.integers(-50, 50))
    high = low + data.draw(st.integers(0, 100))
    step = data.draw(st.integers(1, 7))
    distribution = {
        "float": lambda: FloatDistribution(low / 7, high / 7),
        "log float": lambda: FloatDistribution(low / 7, high / 7, log=True),
        "float by steps": lambda: FloatDistribution(low / 7, high / 7, step=step / 10),
        "int": lambda: IntDistribution(low, high),
        "log int": lambda: IntDistribution(low, high, log=True),
        "int by steps": lambda: IntDistribution(low, high, step=step),
        "choice": lambda: CategoricalDistribution([str(n) for n in range(low, high + 1)][:5]),
    }[kind]()
    uniform = (
        optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=high + 50)).ask({"x": distribution}).params["x"]
    )
    prior = Prior(uniform, data.draw(st.sampled_from(CONFIDENCES)))
    prior.check(distribution)
    drawn = prior.draw(distribution, np.random.default_rng(high + 50))
    assert distribution._contains(distribution.to_internal_repr(drawn))
    assert type(drawn) is type(uniform)


@pytest.mark.parametrize(("confidence", "half"), [("low", 0.22), ("medium", 0.16), ("high", 0.08)])
def test_half_the_draws_lie_as_near_as_documented(confidence, half):
    rng = np.random.default_rng(0)
    drawn = [Prior(0.5, confidence).draw(FloatDistribution(0, 1), rng) for _ in range(4000)]
    assert np.median(np.abs(np.array(drawn) - 0.5)) == pytest.approx(half, abs=0.01)
    logarithmic = [Prior(1e-3, confidence).draw(FloatDistribution(1e-6, 1, log=True), rng) for _ in range(4000)]
    assert np.median(np.abs(np.log10(logarithmic) + 3)) == pytest.approx(6 * half, abs=0.06)


def test_the_ends_of_a_range_of_whole_numbers_are_drawn_like_those_between():
    rng = np.random.default_rng(0)
    drawn = [Prior(2, "low").draw(IntDistribution(1, 3), rng) for _ in range(6000)]
    density = [math.exp(-(((n - 2) / (3 * WIDTHS["low"])) ** 2) / 2) for n in (1, 2, 3)]
    counts = [drawn.count(n) / 6000 for n in (1, 2, 3)]
    assert counts == pytest.approx([d / sum(density) for d in density], abs=0.03)
    assert counts[0] == pytest.approx(counts[2], abs=0.03)


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_a_choice_is_drawn_by_its_weight(confidence):
    rng = np.random.default_rng(0)
    drawn = [Prior("b", confidence).draw(CategoricalDistribution(["a", "b", "c"]), rng) for _ in range(4000)]
    assert drawn.count("b") / 4000 == pytest.approx(WEIGHTS[confidence], abs=0.03)
    assert drawn.count("a") == pytest.approx(drawn.count("c"), abs=150)


def test_of_one_choice_there_is_one_draw():
    assert Prior("a", "low").draw(CategoricalDistribution(["a"]), np.random.default_rng(0)) == "a"


@pytest.mark.parametrize(
    ("value", "distribution", "message"),
    [
        (9, IntDistribution(1, 8), r"prior 9 is not in \[1, 8\]"),
        (4, IntDistribution(1, 7, step=2), r"prior 4 is not in \[1, 7\] by steps of 2"),
        ("six", IntDistribution(1, 8), "prior 'six' is not in"),
        (0.5, FloatDistribution(1.0, 2.0), r"prior 0.5 is not in \[1.0, 2.0\]"),
        ("lit", CategoricalDistribution(["lti", "add"]), "prior 'lit' is not in one of: lti, add"),
    ],
)
def test_a_prior_outside_of_its_field_is_refused(value, distribution, message):
    with pytest.raises(ValueError, match=message):
        Prior(value).check(distribution)


def test_an_unknown_confidence_is_refused():
    with pytest.raises(ValueError, match="unknown confidence 'hgih'; did you mean 'high'"):
        Prior(1, "hgih")


# A study


def test_trial_0_is_what_is_believed():
    study = study_of("tpe", around(1e-2, 8, 256, "add", "low"))
    assert suggest(study.ask()) == (1e-2, 8, 256, "add")


def test_parameters_without_a_prior_are_sampled_and_conditional_ones_use_theirs_when_they_exist():
    study = optuna.create_study(
        sampler=PriorSampler(optuna.samplers.RandomSampler(seed=0), {"kind": Prior("lora"), "rank": Prior(4)}, seed=0)
    )
    trial = study.ask()
    assert trial.suggest_categorical("kind", ["none", "lora"]) == "lora"
    assert trial.suggest_int("rank", 1, 64) == 4
    alone = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    assert trial.suggest_float("rate", 0, 1) == alone.suggest_float("rate", 0, 1)


@pytest.mark.parametrize("written", ["tpe", "random", "nsgaii"])
def test_without_priors_the_wrapped_sampler_is_exactly_itself(written):
    facts = StudyFacts(30, 4, 1)
    named, _ = resolve_sampler(written, facts)
    studies = [
        optuna.create_study(sampler=sampler)
        for sampler in (
            make_sampler(named, facts, seed=1),
            PriorSampler(make_sampler(named, facts, seed=1), {}, seed=1),
        )
    ]
    for study in studies:
        best_so_far(study, 30)
    assert [t.params for t in studies[0].trials] == [t.params for t in studies[1].trials]
    assert not isinstance(make_sampler(named, facts, seed=1, priors={}), PriorSampler)


def test_draws_depend_on_the_seed_and_the_number_alone():
    def early(written, seed):
        study = study_of(written, around(1e-2, 8, 256, "add", "medium"), seed=seed)
        return [suggest(study.ask()) for _ in range(8)]  # none has finished, so all are drawn from the priors

    assert early("tpe", 0) == early("random", 0) != early("random", 1)
    assert len(set(early("tpe", 0))) > 6


def test_the_share_of_draws_falls_with_results():
    believed = {"x": Prior(0.9, "high")}
    near = []
    for seed in range(60):
        study = study_of("random", believed, seed=seed)
        for _ in range(41):
            trial = study.ask()
            near.append(0.5 < trial.suggest_float("x", 0, 1))  # every draw of the prior, half of the others
            study.tell(trial, 0.0)
    shares = np.array(near).reshape(60, 41).mean(axis=0)
    for n in (5, 20, 38):
        expected = np.mean([prior_share(k) + (1 - prior_share(k)) / 2 for k in range(n - 2, n + 3)])
        assert shares[n - 2 : n + 3].mean() == pytest.approx(expected, abs=0.07)
    assert prior_share(0) == 1 and prior_share(int(TRIALS)) == 0.5


def test_trials_without_a_result_do_not_outvote_a_prior():
    study = study_of("random", {"x": Prior(0.9, "high")})
    for _ in range(100):
        trial = study.ask()
        trial.set_constraint("limit", 1.0)
        study.tell(trial, state=TrialState.PRUNED)
        study.tell(study.ask(), state=TrialState.FAIL)
    assert all(study.ask().suggest_float("x", 0, 1) > 0.5 for _ in range(10))


def test_a_trial_is_of_one_mind():
    """Results of other workers that arrive between two of its parameters do not split it."""

    def pair(seed, num_between):
        study = study_of("random", {"x": Prior(0.9, "high"), "y": Prior(0.9, "high")}, seed=seed)
        for _ in range(10):
            study.tell(study.ask(), 0.0)
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        for _ in range(num_between):
            study.add_trial(optuna.trial.create_trial(value=0.0))
        return x, trial.suggest_float("y", 0, 1)

    assert [pair(seed, 0) for seed in range(20)] == [pair(seed, 300) for seed in range(20)]


def test_generations_learn_from_draws():
    study = study_of({"kind": "nsgaii", "population_size": 5}, around(3e-3, 6, 200, "lti", "high"))
    best_so_far(study, 5)
    assert 0 in [t.number for t in study.sampler._sampler.get_population(study, 0)]


# What they are for


def test_a_good_prior_finds_the_optimum_in_fewer_trials():
    def trials_needed(priors):
        firsts = []
        for seed in range(7):
            best = np.array(best_so_far(study_of("tpe", priors, seed=seed), 50))
            firsts.append(int(np.argmax(best <= 0.5)) if best[-1] <= 0.5 else 50)
        return np.median(firsts)

    without, medium = trials_needed({}), trials_needed(around(1e-2, 8, 256, "lti", "medium"))
    assert trials_needed(around(5e-3, 7, 224, "lti", "high")) < medium < without


def test_a_wrong_prior_is_overcome():
    """The farthest corner, believed in firmly: after 60 trials TPE is where it is without."""

    def final(priors):
        return np.median([best_so_far(study_of("tpe", priors, seed=seed), 60)[-1] for seed in range(7)])

    wrong = final(around(1.0, 32, 512, "none", "high"))
    assert wrong < 0.25
    assert wrong < final({}) + 0.1
