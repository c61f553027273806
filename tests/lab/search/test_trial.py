"""One trial: weighed before it trains, trained once a seed, judged by what came out, and never trained twice."""

import json

import numpy as np
import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.comparison.arms import verdicts, without_verdict
from mythos_lab.comparison.card import write_card
from mythos_lab.comparison.holdout import open_holdout
from mythos_lab.comparison.importance import importances
from mythos_lab.comparison.reporting.holdout import holdout_report
from mythos_lab.comparison.reporting.study_page import study_answer
from mythos_lab.comparison.study_report import study_report
from mythos_lab.recipe import RecipeError
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.recipe.files import SPACE_COPY
from mythos_lab.report.markdown import in_text
from mythos_lab.report.terminal import show
from mythos_lab.search import trial as trials
from mythos_lab.search.attributes import OUTCOME
from mythos_lab.search.feasibility import afterwards
from mythos_lab.search.opening import find_study, open_study, refuse_after_opening
from mythos_lab.search.standing import complete
from mythos_lab.search.study import run_study
from mythos_lab.search.trial_folder import folder_of
from tests.lab.search.tiny import OVERRIDES, work_off, write

ARMS = {"full": {}, "deep": {"model.core.depth": 2}, "-update": {"model.core.update": "replace"}}


def outcomes(study):
    return {t.number: t.user_attrs["outcome"] for t in study.get_trials()}


def never_trains(monkeypatch):
    def run(*args, **kwargs):
        raise AssertionError("it was trained")

    monkeypatch.setattr(trials, "run", run)


@pytest.mark.parametrize(
    "constraint, holds",
    [
        ("core.depth * loops.mean <= 7", 1),  # the mean of U{1..7} is 4
        ("core.loops.kind == 'uniform' and core.update in ['highway']", 3),
        ("cost/params < 1", 0),
        ("cost/training_flops > 1", 3),
        ("cost/peak_memory_bytes / 1e6 < 1e-3", 0),
        ("stability/rho_A < 1", 3),  # no injection: nothing that could grow
        ("core.loops.num_loops < 0", 3),  # does not apply to the other kind
    ],
)
def test_a_candidate_that_violates_what_is_known_before_training_is_vetoed_untrained(
    here, monkeypatch, constraint, holds
):
    space = {"model.core.depth": {"int": [1, 3]}, "model.core.loops": {"uniform": {}}}
    if "num_loops" in constraint:
        space["model.core.loops"] = {"uniform": {}, "fixed": {"num_loops": 3}}
    trained = []
    monkeypatch.setattr(trials, "_train", lambda s, study, trial, recipe, *rest: trained.append(recipe) or _ended())
    found = work_off(write(here, space=space, sampler="grid", constraints=[constraint]))
    vetoed = [t for t in found.get_trials() if t.user_attrs["outcome"] == "vetoed"]
    assert len(trained) == holds and len(vetoed) == len(found.get_trials()) - holds
    for t in vetoed:
        assert t.state is TrialState.PRUNED and max(t.constraints.values()) > 0
        assert "does not hold" in t.user_attrs["reason"]
    assert len(complete(found)) == holds


def _ended(**metrics):
    return {"status": "finished", "reason": "", "metrics": [{"val/accuracy": 0.5, **metrics}]}


def test_what_does_not_build_or_has_no_effect_is_vetoed_too(here):
    space = {"model.core.layer.attention.num_heads": {"choice": [4, 5]}, "model.core.injection": {"none": {}}}
    found = work_off(write(here, space=space, sampler="grid"))
    reasons = [t.user_attrs.get("reason", "") for t in found.get_trials()]
    assert sorted(outcomes(found).values()) == ["complete", "vetoed"] and any("divide" in r for r in reasons)


def test_a_constraint_on_the_trained_model_is_judged_afterwards_and_keeps_a_trial_from_being_best(here, monkeypatch):
    gains = iter([0.3, 0.0])
    monkeypatch.setattr(trials, "_train", lambda *a: _ended(**{"loops/gain": next(gains)}))
    found = work_off(write(here, space={"model.core.depth": {"int": [1, 2]}}, constraints=["loops/gain > 0.1"]))
    assert len(found.get_trials()) == 2 and len(complete(found)) == 1


def test_where_nothing_halts_a_constraint_on_halting_is_one_on_the_iterations_run(here):
    space = write(here, space={"model.core.depth": {"int": [1, 2]}}, constraints=["halting/mean_loops <= 4"])
    recipe = validate(dict(space.base), "here")
    found = [afterwards(space, recipe, {"loops/executed": executed}) for executed in (4.0, 6.0)]
    assert [each["halting/mean_loops <= 4"] > 0 for each in found] == [False, True]


def said_by(*arguments):
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_arms_and_seeds_from_trial_to_verdict_and_holdout(here, monkeypatch):
    space = write(here, arms=ARMS, seeds=2)
    found = work_off(space)
    assert set(outcomes(found).values()) == {"complete"} and len(found.get_trials()) == 3
    for t in found.get_trials():
        folders = sorted((space.folder / t.user_attrs["folder"]).glob("seed-*"))
        accuracies = [json.loads((f / "result.json").read_text())["metrics"]["val/accuracy"] for f in folders]
        assert t.user_attrs["values_by_seed"]["val/accuracy"] == accuracies and len(accuracies) == 2
        assert t.value == pytest.approx(sum(accuracies) / 2)
        runs = [MlflowClient().get_run(i) for i in t.user_attrs["mlflow_runs"]]
        assert [r.data.tags["mythos.seed"] for r in runs] == ["0", "1"]
        assert {(r.data.tags["mythos.arm"], r.data.tags["mythos.recipe"]) for r in runs} == {
            (t.params["arm"], "gated_loop")
        }
        assert [r.data.metrics["val/accuracy"] for r in runs] == pytest.approx(accuracies)

    judged = verdicts(space, found)
    assert set(judged) == {"deep", "-update"}
    assert {"parameters", "training FLOPs"} <= set(judged["deep"].undeclared)
    assert not any(name.startswith("model.") for c in judged.values() for name in c.undeclared), (
        "arms declare what they change"
    )
    assert all(c.verdict.num_seeds == 2 for c in judged.values())

    (space.folder / SPACE_COPY).write_bytes(space.source.read_bytes())  # which a study's command lays there
    by_name = said_by("compare", "tiny/full", "tiny/deep", "--declare", "model")
    ids = [",".join(t.user_attrs["mlflow_runs"]) for t in found.get_trials() if t.params["arm"] in ("full", "deep")]
    folders = [str(folder_of(space, t)) for t in found.get_trials() if t.params["arm"] in ("full", "deep")]
    assert (
        by_name == said_by("compare", *ids, "--declare", "model") == said_by("compare", *folders, "--declare", "model")
    )
    assert "not enough seeds" in by_name["finding"] and by_name["metric"] == "val/accuracy"
    whole = said_by("compare", "tiny")
    assert [row["arm"] for row in whole["verdicts"]] == ["deep", "-update"]
    assert whole["answer"] == study_answer(space, found)
    for asked, words in {
        ("tiny/dep", "tiny/full"): "did you mean 'deep'",
        ("tiny", "tiny/full"): "expected one arm of it, tiny/ARM",
    }.items():
        refused = CliRunner().invoke(app, ["compare", *asked])
        assert refused.exit_code == 2 and words in refused.stderr

    page, figure = write_card(space, found, judged, study_answer(space, found))
    written = page.read_text()
    assert "seeds do not tell" in written.splitlines()[-1] and figure.name in written
    assert "| deep | " in written and "2 paired seeds each" in written and figure.stat().st_size > 1000
    reopened = open_study(space)
    again = write_card(space, reopened, verdicts(space, reopened), study_answer(space, reopened))
    assert again == [page, figure] and page.read_text() == written

    opened = open_holdout(space, found)
    assert not opened.before and set(opened.names.values()) == set(ARMS) and set(opened.verdicts) == {"deep", "-update"}
    told = holdout_report(space, opened).facts["answer"]
    assert "of deep 2 seeds do not tell" in told.lower() and "test/accuracy" in told
    assert all(0 <= m["test/accuracy"] <= 1 for seeds in opened.metrics.values() for m in seeds.values())
    monkeypatch.setattr("mythos_lab.comparison.holdout.evaluate", None)
    again = open_holdout(space, open_study(space))
    assert again.before and again.metrics == opened.metrics and again.opened == opened.opened
    with pytest.raises(RecipeError, match="opened its holdout on"):
        refuse_after_opening(space, found)
    shown = CliRunner().invoke(app, ["holdout", "tiny.yaml"])
    assert shown.exit_code == 0 and "and not again" in shown.output and "deep" in shown.output


def test_an_arm_that_lost_a_seed_has_no_verdict_is_named_and_counts_among_those_corrected_for(here, capsys):
    worse = {"training.optimizer.lr": 1e30, "training.gradient_clip": 0, "training.log_every": 1}
    space = write(here, arms={**ARMS, "wild": worse}, seeds=2)
    found = work_off(space)
    judged = verdicts(space, found)
    assert set(judged) == {"deep", "-update"}
    least = min((c.verdict for c in judged.values()), key=lambda verdict: verdict.p)
    assert least.p_adjusted == min(1.0, 3 * least.p), "three, not two"
    ((name, what),) = without_verdict(space, found).items()
    assert name == "wild" and what.startswith("diverged: the ")
    show(study_report(space, found, judged, 1.0))
    assert "wild: no verdict; diverged: the" in " ".join(capsys.readouterr().out.split())
    write_card(space, found, judged)
    page = (space.folder / "card.md").read_text()
    assert "p by Holm's method over 3 verdicts" in page and "- wild: no verdict; diverged" in page


def test_one_trial_of_one_seed_is_held_out_with_its_interval(here):
    space = write(here, arms={"full": {}})
    opened = open_holdout(space, work_off(space))
    (seeds,), (intervals,) = opened.metrics.values(), opened.intervals.values()
    low, high = intervals[0]["test/accuracy"]
    assert low < seeds[0]["test/accuracy"] < high and set(intervals[0]) == {"test/accuracy", "test/loss"}
    facts = holdout_report(space, opened).facts
    (row,) = facts["test"]
    assert row["test/accuracy"] == seeds[0]["test/accuracy"] and row["test/accuracy_interval"] == [low, high]
    assert facts["answer"].startswith("full comes to test/accuracy ") and "validation split" in facts["answer"]
    assert open_holdout(space, open_study(space)).metrics == opened.metrics


def test_a_retry_reads_back_the_seeds_that_were_finished_and_goes_on_with_the_one_that_was_not(here):
    space = write(here, arms={"full": {}}, seeds=3)
    calls = iter([False] * 6 + [True] + [False] * 99)  # four steps of the first seed, two of the second, stop
    found = work_off(space, should_stop=lambda: next(calls))
    first, second = found.get_trials()
    assert outcomes(found) == {0: "killed", 1: "complete"} and second.user_attrs["retry_of"] == first.number
    assert (
        first.user_attrs["mlflow_runs"] == second.user_attrs["mlflow_runs"][:1]
        and len(second.user_attrs["mlflow_runs"]) == 3
    )
    (experiment,) = [e for e in MlflowClient().search_experiments() if e.name == "mythos"]
    runs = MlflowClient().search_runs([experiment.experiment_id])
    assert len(runs) == 3 and {r.info.status for r in runs} == {"FINISHED"}


def test_a_study_that_was_made_from_another_space_is_refused(here):
    work_off(write(here, arms={"full": {}}))
    with pytest.raises(RecipeError, match="was begun with another arms.full.model.core.depth: not there, now 2"):
        open_study(write(here, arms={"full": {"model.core.depth": 2}}))


def test_an_arm_that_is_added_is_the_only_one_that_is_trained(here):
    work_off(write(here, arms={"full": {}}))
    found = work_off(write(here, arms={"full": {}, "deep": {"model.core.depth": 2}}))
    assert [(t.params["arm"], t.user_attrs["outcome"]) for t in found.get_trials()] == [
        ("full", "complete"),
        ("deep", "complete"),
    ]


def test_trials_of_several_objectives_are_pruned_on_a_guard(here):
    file = {
        "space": {"training.optimizer.lr": {"choice": [1e-3, 1e-30]}}, "sampler": "grid",
        "objectives": {"val/loss": "minimize", "cost/params": "minimize"}, "seeds": 2,
        "guard": {"metric": "val/loss"}, "pruner": {"kind": "threshold", "upper": 1e-9},
    }  # fmt: skip
    found = work_off(write(here, **file))
    assert set(outcomes(found).values()) == {"pruned"}
    assert all(
        t.user_attrs["reports"] and "by threshold at step 2" in t.user_attrs["reason"] for t in found.get_trials()
    )


def test_a_loop_aware_study_says_how_well_its_rungs_told_the_end(here, capsys):
    space = {
        "training.optimizer.lr": {"choice": [1e-3, 2e-3]},
        "model.core.loops": {"uniform": {}, "fixed": {"num_loops": 1}},
    }
    file = write(here, space=space, sampler={"kind": "grid"}, pruner={"kind": "loop_aware", "n_startup_trials": 1})
    found = work_off(file)
    assert len(found.get_trials()) == 4
    looped = {t.params["model.core.loops"] for t in found.get_trials() if "loop_gain" in t.user_attrs}
    assert looped == {"uniform"}, "what has no loops is not waited for"
    assert all(t.user_attrs["flops_per_step"] > 0 for t in found.get_trials())
    show(study_report(file, found, {}, 1.0))
    assert "to tell (2 of 8)" in " ".join(capsys.readouterr().out.split())


def test_inputs_that_follow_from_a_declared_change_are_declared_with_it(here, monkeypatch):
    arms = {
        "full": {},
        "longer": {"training.max_steps": 6},
        "larger": {"training.batch_size": 16},
        "faster": {"training.optimizer.lr": 1e-2},
    }
    space = write(here, arms=arms, seeds=2)
    judged = verdicts(space, work_off(space))
    assert {name: set(c.undeclared) for name, c in judged.items()} == {
        "longer": {"training FLOPs"}, "larger": {"training FLOPs"}, "faster": set(),
    }  # fmt: skip


@pytest.mark.parametrize(
    "gain, constraint", [(0.0, "1 / loops/gain < 5"), (float("nan"), "loops/gain > 0"), (1.0, "halting/mean_loops < 9")]
)
def test_a_constraint_that_a_result_cannot_be_held_against_is_violated_and_nobody_dies(
    here, monkeypatch, capsys, gain, constraint
):
    monkeypatch.setattr(trials, "_train", lambda *a: _ended(**{"loops/gain": gain}))
    found = work_off(write(here, space={"model.core.depth": {"int": [1, 1]}}, constraints=[constraint]))
    assert outcomes(found) == {0: "complete"} and not complete(found)
    space = write(here, space={"model.core.depth": {"int": [1, 1]}}, constraints=[constraint])
    show(study_report(space, found, {}, 1.0))
    said = capsys.readouterr().out
    assert f"trial 0 trained, but violates {constraint}" in said and "no trial was trained to its end and meets" in said
    write_card(space, found, {})
    page = (space.folder / "card.md").read_text()
    assert f"- trial 0 trained, but violates {in_text(constraint)}" in page


def test_several_objectives_are_shown_with_their_front_and_none_twice(here, monkeypatch, capsys):
    ends = iter([(0.5, 900.0), (0.6, 950.0), (0.55, 980.0)])

    def end(*_):
        accuracy, params = next(ends)
        return _ended(**{"val/accuracy": accuracy, "cost/params": params})

    monkeypatch.setattr(trials, "_train", end)
    objectives = {"val/accuracy": "maximize", "cost/params": "minimize"}
    space = write(here, space={"model.core.depth": {"int": [1, 3]}}, sampler="grid", objectives=objectives)
    found = work_off(space)
    show(study_report(space, found, {}, 1.0))
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["trial", "val/accuracy", "cost/params", "depth"] in rows
    assert [row[0] for row in rows if len(row) == 4 and row[0].rstrip("*").isdigit()] == ["1*", "2", "0*"]
    card, front = write_card(space, found, {})
    page = card.read_text()
    assert "| trial | val/accuracy | cost/params | depth |" in page and "* is on the front" in page
    assert "(front.svg)" in page and front.read_text().lstrip().startswith("<?xml") and front.name == "front.svg"
    assert r"| 1\* | 0.6 | 950 | 2 |" in page and "| 2 | 0.55 |" in page


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_objective_that_is_no_number_fails_its_trial(here, monkeypatch, value):
    monkeypatch.setattr(trials, "_train", lambda *a: _ended(**{"val/accuracy": value}))
    found = work_off(write(here, space={"model.core.depth": {"int": [1, 1]}}))
    assert outcomes(found) == {0: "failed"}
    assert found.get_trials()[0].user_attrs["reason"] == f"val/accuracy is {value}"


def test_what_cannot_be_weighed_is_vetoed(here, monkeypatch):
    def cannot(*_):
        raise RecipeError("tiny.yaml: no such cost")

    never_trains(monkeypatch)
    monkeypatch.setattr("mythos_lab.search.feasibility.cost_metric", cannot)
    found = work_off(write(here, space={"model.core.depth": {"int": [1, 1]}}, constraints=["cost/params < 1"]))
    assert outcomes(found) == {0: "vetoed"} and "no such cost" in found.get_trials()[0].user_attrs["reason"]


def test_a_folder_that_holds_another_recipes_run_ends_the_study_and_blames_no_trial(here):
    space = write(here, arms={"full": {}}, name="other")
    work_off(space)
    (here / "studies" / "other").rename(here / "studies" / "tiny")
    for name in ("journal.log", "study.json"):
        (here / "studies" / "tiny" / name).unlink()
    space = write(here, space={"training.optimizer.lr": {"choice": [1e-3, 2e-3]}}, sampler="grid")
    with pytest.raises(Misplaced, match="holds a run of another recipe"):
        work_off(space)
    shown = CliRunner().invoke(app, ["study", "tiny.yaml"])
    assert shown.exit_code == 2 and "holds a run of another recipe" in shown.stderr
    assert len(shown.stderr.strip().splitlines()) == 1
    found = find_study(space).get_trials()
    assert {t.user_attrs.get("outcome") for t in found} <= {"killed", "complete", None}
    assert not any(t.user_attrs.get("blamed") for t in found)


def test_the_holdout_opens_at_the_end_and_only_what_can_be_read(here, monkeypatch):
    space = write(here, arms={"full": {}, "deep": {"model.core.depth": 2}})
    study = work_off(space)
    study.set_user_attr("num_trials", 3)
    with pytest.raises(RecipeError, match="2 of 3 trials have ended and 0 run; .* with --trials 2"):
        open_holdout(space, study)
    study.set_user_attr("num_trials", 2)
    running = study.ask()
    with pytest.raises(RecipeError, match="2 of 2 trials have ended and 1 run"):
        open_holdout(space, study)
    study.tell(running, state=TrialState.FAIL)
    weights = space.folder / "trials/0001/seed-0/model.safetensors"
    weights.rename(here / "elsewhere")
    with pytest.raises(RecipeError, match="it has no model.safetensors"):
        open_holdout(space, study)
    assert "holdout_opened" not in study.user_attrs
    (here / "elsewhere").rename(weights)
    assert not open_holdout(space, study).before


def test_a_candidate_that_is_drawn_again_is_answered_from_the_first_and_said_so(here, monkeypatch, capsys):
    trained, train = [], trials._train
    monkeypatch.setattr(
        trials, "_train", lambda s, study, t, *rest: trained.append(t.number) or train(s, study, t, *rest)
    )
    space = write(
        here, space={"model.core.depth": {"int": [1, 2]}}, sampler="random", trials=6, constraints=["loops/gain > 9"]
    )
    found = work_off(space)
    ended = found.get_trials()
    assert len(trained) == len({t.params["model.core.depth"] for t in ended}) == 2 and len(ended) == 6
    repeats = [t for t in ended if "repeats" in t.user_attrs]
    assert len(repeats) == 4 and set(outcomes(found).values()) == {"complete"}
    for t in repeats:
        first = ended[t.user_attrs["repeats"]]
        assert first.number in trained and t.params == first.params
        assert (t.values, t.constraints) == (first.values, first.constraints)
        assert {n: t.user_attrs[n] for n in ("folder", "values_by_seed", "mlflow_runs", "cost/params")} == {
            n: first.user_attrs[n] for n in ("folder", "values_by_seed", "mlflow_runs", "cost/params")
        }
    show(study_report(space, found, {}, 1.0))
    write_card(space, found, {})
    for said in (capsys.readouterr().out, (space.folder / "card.md").read_text().replace("\\", "")):
        assert "drew what trial" in said and "took its result" in said


def test_the_answer_of_a_search_counts_a_candidate_once_and_says_what_each_kind_came_to(here, monkeypatch):
    values = iter([0.9, 0.6])
    monkeypatch.setattr(trials, "_train", lambda *a: _ended(**{"val/accuracy": next(values)}))
    space = write(here, space={"model.core.update": {"replace": {}, "highway": {}}}, sampler="random", trials=6)
    found = work_off(space)
    assert len(complete(found)) == 6 and sum("repeats" in t.user_attrs for t in found.get_trials()) == 4
    first, second = (t for t in found.get_trials() if "repeats" not in t.user_attrs)
    one, other = (t.params["model.core.update"] for t in (first, second))
    assert study_answer(space, found) == (
        f"Trial {first.number} (update {one}) is first of 2 with val/accuracy 0.9, before trial {second.number} with 0.6; of "
        f"one seed each, so that the order may be the seeds'. The best by kind, of so many trials: update {one} 0.9 (1), "
        f"{other} 0.6 (1)."
    )
    report = study_report(space, found, {}, 1.0)
    assert report.facts["importances"] == [] and not any("first of a tie" in str(part) for part in report.parts)


@pytest.mark.parametrize(
    "losses, said",
    [
        ((1.0, 1.0), "Trials 0, 1 tie, each best of 2 in all of val/accuracy, val/loss: val/accuracy 0.5, val/loss 1."),
        ((1.0, 2.0), "Trial 0 is best of 2 in all of val/accuracy, val/loss: val/accuracy 0.5, val/loss 1."),
    ],
)
def test_of_several_objectives_it_is_said_whether_a_trial_is_best_in_all(here, monkeypatch, losses, said):
    values = iter(losses)
    monkeypatch.setattr(trials, "_train", lambda *a: _ended(**{"val/loss": next(values)}))
    both = {"val/accuracy": "maximize", "val/loss": "minimize"}
    space = write(here, space={"model.core.depth": {"int": [1, 2]}}, sampler="grid", objectives=both)
    assert study_answer(space, work_off(space)) == said


def test_a_repeat_of_what_did_not_fit_is_vetoed_untrained(here, monkeypatch):
    tried = []
    monkeypatch.setattr(trials, "run", lambda *a, **k: tried.append(1) or (_ for _ in ()).throw(MemoryError()))
    found = work_off(write(here, space={"model.core.depth": {"int": [1, 1]}}, sampler="random", trials=3))
    assert len(tried) == 1 and set(outcomes(found).values()) == {"vetoed"}
    assert all(t.state is TrialState.PRUNED and max(t.constraints.values()) > 0 for t in found.get_trials())


UNMEASURED = {
    "experts/load_cv": "the model has no experts",
    "stability/rho_A": "the injection carries nothing on",
    "stability/layer_scale": "the model has nothing of it",
    "stability/rho_J": "no penalty measures it; expected jacobian_radius",
    "penalty/z_loss": "no penalty measures it; expected z_loss",
    "auxiliary/halting": "no component adds such a loss",
    "cost/decode_flops_per_token": "with this mask nothing is decoded",
    "halting/mean_loops": "nothing halts in the model; loops/executed is what it runs",
    "train/depth_read": "the model has no halting rule",
}


@pytest.mark.parametrize("metric, why", UNMEASURED.items(), ids=UNMEASURED)
def test_an_objective_that_no_candidate_has_is_refused_before_anything_trains(here, metric, why):
    fields = {"space": {"model.core.depth": {"int": [1, 2]}}, "objectives": {metric: "minimize"}, "trials": 2}
    space = write(here, overrides=[*OVERRIDES, "mask=full"], **fields)
    with pytest.raises(RecipeError, match=f"objectives: a run has no {metric}: {why}"):
        run_study(space)
    assert not (here / "studies").exists()


def test_a_guard_over_what_no_candidate_has_is_refused_as_it_would_stop_nothing(here):
    fields = {"guard": {"metric": "halting/mean_loops", "direction": "minimize"}, "pruner": "median"}
    with pytest.raises(RecipeError, match="guard.metric: a run has no halting/mean_loops: nothing halts"):
        run_study(write(here, space={"model.core.depth": {"int": [1, 2]}}, **fields))


def test_a_candidate_without_the_objective_is_vetoed_untrained_where_others_have_it(here):
    feedforward = {"swiglu": {"hidden": 8}, "moe": {"num_experts": 4, "num_active": 2}}
    space = {"model.core.layer.feedforward": feedforward}
    found = work_off(write(here, space=space, objectives={"experts/load_cv": "minimize"}, overrides=OVERRIDES[:-1]))
    by_kind = {t.params["model.core.layer.feedforward"]: t for t in found.get_trials()}
    assert by_kind["moe"].user_attrs["outcome"] == "complete"
    assert by_kind["swiglu"].user_attrs["outcome"] == "vetoed" and "folder" in by_kind["swiglu"].user_attrs
    assert "a run has no experts/load_cv: the model has no experts" in by_kind["swiglu"].user_attrs["reason"]


def test_choices_are_shown_as_they_were_written(here, monkeypatch, capsys):
    monkeypatch.setattr(trials, "_train", lambda *a: _ended())
    penalties = {"choice": [[], [{"kind": "z_loss"}]]}
    space = write(here, space={"training.penalties": penalties, "training.num_threads": {"choice": [None, 1]}})
    found = work_off(space)
    show(study_report(space, found, {}, 1.0))
    write_card(space, found, {})
    for said in (capsys.readouterr().out, (space.folder / "card.md").read_text().replace("\\", "")):
        assert "null" in said and "[]" in said and '{"kind": "z_loss"}' in said


def test_the_importance_of_noise_is_not_shown(here):
    """In a third of such studies the most important of four fields has a share above .8."""
    false, loud = 0, 0
    for seed in range(30):
        fields = importances(noise(seed, effect=0))
        assert sum(f.share for f in fields) == pytest.approx(1.0)
        false += any(f.is_told for f in fields)
        loud += max(optuna.importance.get_param_importances(noise(seed, effect=0)).values()) > 0.8
    assert false <= 5 and loud >= 4
    strong = importances(noise(0, effect=12, num_trials=40))
    assert [f.field for f in strong if f.is_told] == ["a"]


def noise(seed, effect, num_trials=16):
    study, rng = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)), np.random.default_rng(seed)
    for _ in range(num_trials):
        trial = study.ask()
        x = [trial.suggest_float(name, 0, 1) for name in "abcd"]
        trial.set_user_attr(OUTCOME, "complete")  # as trials have that were run here
        study.tell(trial, effect * x[0] + rng.normal())
    return study
