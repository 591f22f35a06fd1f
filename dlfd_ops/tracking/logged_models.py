"""The logged models that versions point to: one a registration key, complete before any version names it.

MLflow makes a logged model in steps (created, files uploaded, declared ready). Whoever was interrupted in between left
one with the key, and the next run with the same key goes on with that one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from dlfd_ops.tracking.versions import KEY_TAG


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
        """Return the logged model of ``key``, packaged and uploaded where nobody has done so yet.

        Args:
            key: the registration key.
            run_id: the run that made the weights; the model becomes one of its outputs.
            checkpoint: folder with the weights and the model's card.

        Raises:
            BadInput: the checkpoint is damaged.
            CheckFailed: the packaged model does not answer as the model does.
        """
        model = self._begun(key, run_id)
        if model.status == LoggedModelStatus.READY:
            return model
        from dlfd_ops.tracking.packaging import package  # loads torch, which who only reads the registry can do without

        model_id = str(model.model_id)
        self._link(run_id, model_id)
        with TemporaryDirectory() as folder:
            target = Path(folder) / "model"
            package(
                checkpoint,
                target,
                Model(artifact_path=model.artifact_location, run_id=run_id, model_uuid=model_id, model_id=model_id),
            )
            self.client.log_model_artifacts(model_id, str(target))
        # Ready only now: a logged model that is ready is complete, whenever the process ends.
        return self.client.finalize_logged_model(model_id, LoggedModelStatus.READY)

    def _begun(self, key: str, run_id: str) -> LoggedModel:
        """Return the logged model of ``key``, new and empty where nobody has begun one.

        Of two machines that begin at once, both complete the older one.
        """
        if found := self._with_key(key):
            return found[0]
        begun = self.client.create_logged_model(
            self.experiment_id, name=self.name, source_run_id=run_id, tags={KEY_TAG: key}
        )
        oldest = self._with_key(key)[0]
        if oldest.model_id != begun.model_id:
            self.client.delete_logged_model(begun.model_id)
        return oldest

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
