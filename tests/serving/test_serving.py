"""A registered version behind a real server, and a service that follows the alias; neither needs this package."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from dlfd_ops.models.checkpoint import save_classifier, weights_digest
from dlfd_ops.models.classifier import FaceClassifier, ModelCard, ServedClassifier
from dlfd_ops.tracking.registry import Entry, Registry
from dlfd_ops.tracking.store import Store, open_store
from tests.mlflow_plugin.fresh import REPOSITORY, Environment, new_environment, outside_environment

MODEL = "face-age-tiny"
SIZE = 32
CLASSES = ("child", "adult", "senior")
JSON = "application/json"
FOLLOW = """
import json, shutil, sys
from pathlib import Path
import numpy as np
import mlflow
from mlflow import MlflowClient
sys.path.insert(0, sys.argv[1])
from follow_alias import Follower
client, name = MlflowClient(), sys.argv[2]
follower = Follower(name)
images = np.zeros((1, 3, 32, 32), np.float32)
seen = []
def look():
    seen.append([follower.refresh(), follower.version, follower.model is not None])
look()
look()
client.set_registered_model_alias(name, "champion", "2")
look()
follower.model.predict(images)
client.set_registered_model_alias(name, "champion", "1")
client.set_model_version_tag(name, "1", "dlfd.gate", "failed")
look()
client.set_model_version_tag(name, "1", "dlfd.gate", "passed")
client.set_model_version_tag(name, "1", "dlfd.weights_digest", "0" * 64)
look()
client.delete_registered_model_alias(name, "champion")
look()
print(json.dumps(seen))
"""


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    body: bytes

    @property
    def probabilities(self) -> np.ndarray:
        """(B, C) of a good answer."""
        return np.asarray(json.loads(self.body)["predictions"])


@dataclass(frozen=True)
class Service:
    """A scoring server."""

    url: str

    def ask(self, body: bytes, kind: str = JSON) -> Answer:
        """Send a request and return the answer, whatever its status."""
        request = urllib.request.Request(f"{self.url}/invocations", body, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read())


@dataclass(frozen=True)
class Registered:
    """A registry with two versions."""

    store: Store
    models: tuple[FaceClassifier, FaceClassifier]


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Registered:
    """Two versions of a tiny classifier that passed the gate; the first is champion."""
    root = tmp_path_factory.mktemp("registered")
    store = open_store(root)
    experiment = store.experiment_id("dlfd-tiny")
    models = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        models.append(FaceClassifier(ModelCard("resnet18", ("age",), {"age": CLASSES}, SIZE)).eval())
        folder = root / f"checkpoint-{seed}"
        save_classifier(models[-1], folder)
        digest = weights_digest(folder)
        tags = {"dlfd.gate": "passed", "dlfd.weights_digest": digest}
        run_id = store.client.create_run(experiment).info.run_id
        Registry(store, experiment, MODEL).register(Entry(folder, run_id, tags, "text", {}, digest))
    store.client.set_registered_model_alias(MODEL, "champion", "1")
    return Registered(store, (models[0], models[1]))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment in which this package is not installed."""
    environment = new_environment(tmp_path_factory.mktemp("bare") / "environment")
    environment.run("import dlfd_ops", cwd=environment.folder, expect=1)
    return environment


@pytest.fixture(scope="module")
def service(registered: Registered, bare: Environment) -> Iterator[Service]:
    """``mlflow models serve`` on a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = bare.folder / "server.log"
    command = ["-m", "mlflow", "models", "serve", "--model-uri", f"models:/{MODEL}@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    environment = outside_environment() | {"MLFLOW_TRACKING_URI": registered.store.uri}
    environment["PATH"] = f"{bare.python.parent}{os.pathsep}{environment['PATH']}"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [str(bare.python), *command],
            cwd=bare.folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(f"http://127.0.0.1:{port}/ping", server, log)
        yield Service(f"http://127.0.0.1:{port}")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())


def _body(images: object) -> bytes:
    return json.dumps({"inputs": images}).encode()


@pytest.mark.slow
def test_the_champion_answers_with_probabilities(service: Service, registered: Registered) -> None:
    """One image or several: a row of probabilities each, those of the model, with no code of this package."""
    served = ServedClassifier(registered.models[0]).eval()
    for batch in (1, 5):
        images = np.random.default_rng(batch).random((batch, 3, SIZE, SIZE), np.float32)
        answer = service.ask(_body(images.tolist()))
        assert answer.status == 200, answer.body
        with torch.no_grad():
            expected = served(torch.from_numpy(images)).numpy()
        assert answer.probabilities.shape == (batch, len(CLASSES))
        assert np.abs(answer.probabilities - expected).max() < 1e-5


@pytest.mark.slow
def test_the_classes_stand_in_the_models_metadata(registered: Registered, bare: Environment) -> None:
    """A client learns from the registry what each probability means, without loading the model."""
    code = (
        "import json, sys; from mlflow.models import get_model_info;"
        f"print(json.dumps(get_model_info('models:/{MODEL}@champion').metadata['dlfd']))"
    )
    facts = json.loads(bare.run(code, cwd=bare.folder, MLFLOW_TRACKING_URI=registered.store.uri).splitlines()[-1])
    assert facts["outputs"] == list(CLASSES)
    assert (facts["image_size"], facts["output_activation"]) == (SIZE, "softmax")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        pytest.param(_body(np.zeros((1, 3, SIZE * 2, SIZE * 2)).tolist()), JSON, 400, id="a larger image"),
        pytest.param(_body(np.zeros((1, 1, SIZE, SIZE)).tolist()), JSON, 400, id="a grey image"),
        pytest.param(_body(np.zeros((3, SIZE, SIZE)).tolist()), JSON, 400, id="no batch"),
        pytest.param(_body([]), JSON, 400, id="nothing"),
        pytest.param(_body("face.jpg"), JSON, 400, id="a path"),
        pytest.param(b"{", JSON, 400, id="no JSON"),
        pytest.param(b"\xff\xd8\xff\xe0", "image/jpeg", 415, id="a picture file"),
    ],
)
def test_what_is_no_image_of_its_size_is_refused(service: Service, body: bytes, kind: str, status: int) -> None:
    """The signature bounds what reaches the model; the server says so, and goes on serving."""
    assert service.ask(body, kind).status == status
    assert service.ask(_body(np.zeros((1, 3, SIZE, SIZE)).tolist())).status == 200


@pytest.mark.slow
def test_a_service_follows_the_alias(registered: Registered, bare: Environment) -> None:
    """A new champion is loaded; one with a failed gate or other weights is not, and the old one goes on serving."""
    example = REPOSITORY / "examples" / "serving"
    uri = registered.store.uri
    try:
        printed = bare.run(FOLLOW, str(example), MODEL, cwd=bare.folder, MLFLOW_TRACKING_URI=uri)
    finally:
        registered.store.client.set_registered_model_alias(MODEL, "champion", "1")
    assert json.loads(printed.splitlines()[-1]) == [
        [True, "1", True],
        [False, "1", True],
        [True, "2", True],
        [False, "2", True],
        [False, "2", True],
        [False, "2", True],
    ]
