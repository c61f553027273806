"""`mythos ui`: the page of the runs, in our view of them, without usage statistics, of a store that is there."""

import tempfile
import threading
import time

import pytest
from mlflow import MlflowClient

from mythos_lab.metrics import METRICS
from mythos_lab.recipe import RecipeError
from mythos_lab.tracking import saved_view
from mythos_lab.tracking.mlflow import Tracker
from mythos_lab.tracking.store import prepare
from mythos_lab.tracking.viewing import charts_page, runs_page, server
from tests.lab.report import browser

TITLES = ("What the loops do", "Training", "Stability and halting", "Costs")


def test_it_opens_on_the_runs_and_sends_no_usage_statistics(tmp_path):
    store = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(store)
    assert runs_page(store, 5001) == "http://127.0.0.1:5001", "nothing has been tracked under our name"
    number = client.create_experiment("mythos")
    assert runs_page(store, 5001) == (
        f"http://127.0.0.1:5001/#/experiments/{number}/runs?workflowType=machine_learning&viewStateShareKey=mythos"
    )
    assert server(store, 5999)[1]["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_an_experiment_has_the_view_from_its_beginning_or_is_given_it_once(tmp_path, monkeypatch):
    store = f"sqlite:///{tmp_path}/mlflow.db"
    client, number = prepare(store, "mythos")
    tag = client.get_experiment(number).tags[saved_view.TAG]
    assert len(tag) < 5000, "as much as older servers take"
    assert saved_view.state_of(tag)["compareRunSections"][0]["name"] == TITLES[0]
    runs_page(store, 5001)
    assert client.get_experiment(number).tags[saved_view.TAG] == tag, "one that is there is left alone"
    client.set_experiment_tag(number, saved_view.TAG, "torn")
    runs_page(store, 5001)
    assert saved_view.state_of(client.get_experiment(number).tags[saved_view.TAG]) == saved_view.state_of(tag)


def test_a_version_of_mlflow_that_was_not_tried_shows_its_plain_list(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_view, "version", lambda package: "9.0.1")
    store = f"sqlite:///{tmp_path}/mlflow.db"
    client, number = prepare(store, "mythos")
    page = runs_page(store, 5001)
    assert page.endswith("/runs?workflowType=machine_learning") and charts_page(page) is None
    assert saved_view.TAG not in client.get_experiment(number).tags


def shown(store):
    """The columns of the view, and the metrics of its charts."""
    client = MlflowClient(store)
    state = saved_view.state_of(client.get_experiment_by_name("mythos").tags[saved_view.TAG])
    columns = [column.split("`")[1] for column in state["selectedColumns"]]
    return columns, [chart["metricKey"] for chart in state["compareRunCharts"]]


def test_depth_curves_by_difficulty_are_one_chart_in_the_order_of_difficulty():
    metrics = {"depth/accuracy", "depth/accuracy_low", "ood_depth/hops_5", *(f"depth/hops_{n}" for n in range(1, 12))}
    state = saved_view.state_of(saved_view.view_tags({}, metrics)[saved_view.TAG])
    (chart,) = (each for each in state["compareRunCharts"] if each["metricKey"] == "depth/hops_1")
    assert chart["selectedMetricKeys"] == [f"depth/hops_{n}" for n in range(1, 9)]
    assert chart["metricSectionId"] == state["compareRunSections"][0]["uuid"] and chart["xAxisKey"] == "step"


def test_the_views_charts_and_columns_are_of_metrics_that_there_are(tmp_path):
    prepare(f"sqlite:///{tmp_path}/mlflow.db", "mythos")
    columns, charts = shown(f"sqlite:///{tmp_path}/mlflow.db")
    measured = {column for column in columns if "/" in column}
    assert {*charts, *measured} <= {*METRICS, "depth/accuracy", "depth/loss", "ood_depth/accuracy"}


@pytest.mark.skipif(browser.PROGRAM is None, reason="needs a browser: install chromium")
def test_mlflows_own_page_shows_the_columns_and_the_charts_in_their_order(tmp_path, monkeypatch):
    store = f"sqlite:///{tmp_path}/mlflow.db"
    prepare(store, "mythos")
    columns, charts = shown(store)
    logged = {*charts, *(column for column in columns if "/" in column)}
    for name in ("looped", "flat"):
        tracker = Tracker(store, "mythos", name)
        tracker.describe("What it is for.")
        tracker.dataset("reachability", "c0ffee", "{}", "{}")
        tracker.params({"model.core.loops.kind": "fixed"})
        for step in (1, 2, 4):
            tracker.metrics(dict.fromkeys([*logged, "depth/hops_1", "depth/hops_2"], 0.5), step)
        tracker.finish("FINISHED")
    with served(store, monkeypatch, tmp_path) as port:
        page = runs_page(store, port)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, browser.browser(profile) as tab:
            tab.open(page, 4400, dark=False)  # the table draws the columns that are in sight
            read(tab, "looped", *columns)
            tab.open("about:blank", 1600, dark=False)
            tab.open(charts_page(page), 1600, dark=False)
            text = read(tab, *TITLES, *charts[:5])
            asked = " ".join(tab.requests).replace("%2F", "/")
    assert sorted(TITLES, key=text.rindex) == list(TITLES)
    assert "metric_key=depth/hops_1&" in asked and "metric_key=depth/hops_2&" in asked, "both in one chart"


class served:
    """MLflow's server of a store, in a thread; its port."""

    def __init__(self, store, monkeypatch, folder):
        for name, value in {"_MLFLOW_SERVER_FILE_STORE": store, "_MLFLOW_SERVER_ARTIFACT_ROOT": str(folder)}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.server import app, handlers
        from werkzeug.serving import make_server

        monkeypatch.setattr(handlers, "_tracking_store", None)
        self._server = make_server("127.0.0.1", 0, app, threaded=True)

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self._server.server_port

    def __exit__(self, *raised):
        self._server.shutdown()
        self._server.server_close()


def read(tab, *words, seconds=40):
    """What the page says once it says all of these words."""
    until = time.monotonic() + seconds
    while missing := [word for word in words if word not in (text := tab.value("document.body.innerText"))]:
        assert time.monotonic() < until, (missing, text)
        time.sleep(0.2)
    return text


def test_where_nothing_was_tracked_it_says_so_and_makes_no_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(RecipeError, match="nothing has been tracked there"):
        server(None, 5999)
    assert not list(tmp_path.iterdir())
