"""The logged models that versions point to: one a registration key, complete before any version names it.

MLflow makes a logged model in steps (created, files uploaded, declared ready). Whoever was interrupted in between left
one with the key, and the next run with the same key goes on with that one. But whoever may write to the store can put
one there too: what this process did not begin is used only where it holds the model that is packaged here.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from dlfd_ops.tracking.likeness import differing_from_store
from dlfd_ops.tracking.versions import KEY_TAG

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoggedModels:
    """The logged models of one registered model.

    Attributes:
        client: of the store; its errors come through as they are.
        experiment_id: where the artifacts are logged.
        name: that each of them gets.
    """

    client: MlflowClient
    experiment_id: str
    name: str

    def complete(self, key: str, run_id: str, checkpoint: Path) -> LoggedModel:
        """Return the logged model of ``key``, uploaded where nobody has done so yet.

        The store is MLflow's default, see :meth:`dlfd_ops.tracking.store.Store.as_default`.

        Args:
            key: the registration key.
            run_id: the run that made the weights; the model becomes one of its outputs.
            checkpoint: folder with the weights and the model's card.

        Raises:
            BadInput: the checkpoint is damaged.
            CheckFailed: the packaged model does not answer as the model does.
        """
        from dlfd_ops.tracking.packaging import package  # loads torch, which who only reads the registry can do without

        model, begun_here = self._begun(key, run_id)
        model_id, ready = str(model.model_id), model.status == LoggedModelStatus.READY
        with TemporaryDirectory() as folder:
            target = Path(folder) / "model"
            package(
                checkpoint,
                target,
                Model(artifact_path=model.artifact_location, run_id=run_id, model_uuid=model_id, model_id=model_id),
            )
            if not ready:
                self._link(run_id, model_id)
                self.client.log_model_artifacts(model_id, str(target))
            differing = [] if begun_here else differing_from_store(f"models:/{model_id}", target)
        if differing:
            self._put_aside(model_id, differing)
            return self.complete(key, run_id, checkpoint)
        # Ready only now: a logged model that is ready is complete, whenever the process ends.
        return model if ready else self.client.finalize_logged_model(model_id, LoggedModelStatus.READY)

    def _begun(self, key: str, run_id: str) -> tuple[LoggedModel, bool]:
        """Return the logged model of ``key``, new and empty where nobody has begun one, and whether it is new.

        Of two machines that begin at once, both complete the older one.
        """
        if found := self._with_key(key):
            return found[0], False
        begun = self.client.create_logged_model(
            self.experiment_id, name=self.name, source_run_id=run_id, tags={KEY_TAG: key}
        )
        oldest = self._with_key(key)[0]
        if oldest.model_id != begun.model_id:
            self.client.delete_logged_model(begun.model_id)
        return oldest, oldest.model_id == begun.model_id

    def _put_aside(self, model_id: str, differing: list[str]) -> None:
        """Take the key away from a logged model that is something else.

        It is not deleted: it may be another machine's, which is about to make a version of it.
        """
        _LOGGER.warning(
            "logged model %s has the registration key and is another model (by %.200s): it is left aside",
            model_id,
            differing,
        )
        self.client.delete_logged_model_tag(model_id, KEY_TAG)

    def _with_key(self, key: str) -> list[LoggedModel]:
        found = self.client.search_logged_models([self.experiment_id], f"tags.`{KEY_TAG}` = '{key}'")
        return sorted(found, key=lambda model: (model.creation_timestamp, model.model_id))

    def _link(self, run_id: str, model_id: str) -> None:
        """Name the model as an output of the run, once: MLflow refuses a second time.

        A run that is taken up again has it already; and another machine may do the same at the same moment.
        """
        if self._is_linked(run_id, model_id):
            return
        try:
            self.client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
        except MlflowException:
            if not self._is_linked(run_id, model_id):
                raise

    def _is_linked(self, run_id: str, model_id: str) -> bool:
        outputs = self.client.get_run(run_id).outputs
        return model_id in {output.model_id for output in (outputs.model_outputs if outputs else ())}
