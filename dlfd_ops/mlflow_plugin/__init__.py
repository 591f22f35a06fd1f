"""What MLflow finds by entry points where this package is installed; nobody has to import it.

``evaluator``
    ``dlfd_unlearning`` for ``mlflow.models.evaluate``: has this classifier forgotten?
``evaluator_config``
    Its settings.
``answers``
    From what any classifier answers to the predictions that the evaluation reads.
``context``
    Tags of the DVC repository on every run that is started inside one.
``dataset``
    Data under DVC as a source of MLflow datasets: ``dvc://...`` and ``mlflow.data.from_dvc``.
``errors``
    Our errors as MLflow's.

MLflow loads ``context`` and ``dataset`` at every ``import mlflow`` and survives only an ImportError or AttributeError
there. What entry points name therefore imports MLflow's own base classes and the standard library, and everything
else inside its methods.
"""
