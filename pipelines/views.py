"""Views: how MLflow's pages show a desk's runs: a saved view of the accounts, best information ratio first."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click

from pipelines.config import Config
from pipelines.console import say
from pipelines.experiments import Experiments

KEY = "kestrel-accounts"
TAG = "mlflow.sharedViewState."  # what MLflow's page reads a saved view from, by its key
ORDER = "metrics.`information_ratio`"
COLUMNS = (
    "attributes.`Created`",
    "tags.`kestrel.model`",
    "tags.`kestrel.source`",
    ORDER,
    *(f"metrics.`{name}`" for name in ("excess_geometric", "tracking_error", "excess_max_drawdown", "turnover", "cost", "rank_ic_5")),
    "tags.`kestrel.first`",
    "tags.`kestrel.last`",
    "params.`backtest.strategy.kind`",
)
VIEW = {
    "searchFilter": "tags.`kestrel.kind` = 'account'",
    "orderByKey": ORDER,
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "selectedColumns": list(COLUMNS),
    "columnOrder": list(COLUMNS),
    "viewMaximized": True,
    "runListHidden": False,
}


def save_view(store: Experiments) -> str:
    """Keep the view with the experiment; returns the part of its address behind the server's."""
    value = json.dumps(VIEW)
    if store.client.get_experiment(store.experiment).tags.get(TAG + KEY) != value:
        store.client.set_experiment_tag(store.experiment, TAG + KEY, value)
        store.client.set_experiment_tag(store.experiment, "mlflow.experimentKind", "custom_model_development")
    return f"#/experiments/{store.experiment}/runs?viewStateShareKey={KEY}"


def serve(config: Config, port: int, *, open_it: bool = False) -> None:
    """Run MLflow's pages over the store, bound to this machine, until interrupted; a server elsewhere is only told the view and named."""
    store = Experiments(Path(config.runs), config.tracking)
    remote = store.uri.startswith("http")
    address = f"{store.uri.rstrip('/') if remote else f'http://127.0.0.1:{port}'}/{save_view(store)}"
    click.echo(address)
    if open_it and remote:
        click.launch(address)
    if not remote:
        say("MLflow takes some seconds to start; Ctrl-C ends it.")
        command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store.uri, "--host", "127.0.0.1", "--port", str(port)]
        # Its background jobs judge language models, which nobody asked for here.
        with subprocess.Popen(command, env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}) as server:
            try:
                if open_it:
                    click.launch(address)
                server.wait()
            except KeyboardInterrupt:
                server.terminate()
