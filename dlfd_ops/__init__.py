"""Machine unlearning for face models as an MLOps pipeline.

A deletion request goes in, ``dvc repro`` makes the model forget the person, and an
audited model version stands in the MLflow registry. The packages, from the top down
(imports point downward only; import-linter checks it):

``cli`` | ``mlflow_plugin``
    One thin command per workflow | what MLflow finds by entry points.
``workflows``
    The only composers: one module per pipeline stage or command.
``tracking`` | ``audit`` | ``storage``
    MLflow runs and registry | ledger, certificates and report | DVC: tracking, erasure.
``unlearning`` | ``evaluation``
    Methods, each only its objective | utility, membership attack, NoMUS, gate.
``training`` | ``deletion``
    The Accelerate loop with an injected step | requests and forget list.
``data`` | ``models``
    Manifest, images, adapters | classifier (features and logits), checkpoint.
``params``
    Typed mirror of ``params.yaml``.
``digest`` | ``errors`` | ``files``
    Content digests | the errors a user sees | atomic writes.

This module stays light on purpose: importing it loads neither torch nor MLflow.
"""

__version__ = "0.1.0"
