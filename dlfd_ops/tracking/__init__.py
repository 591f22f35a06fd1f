"""MLflow: the store, runs, packaging, and the registry with its lineage.

``store``
    Which MLflow store is used, and how it is named in files that git keeps.
``provenance``
    Commit, digest of the DVC lock, digest of the data set.
``runs``
    One run a model: params, metrics over steps, the data set as an input.
``packaging``
    A classifier as a self-contained MLflow model (pt2).
``likeness``
    Whether what the store holds is what packaging makes here, told without loading it.
``versions`` | ``aliases``
    Versions as the registry has them | which of them is the candidate and the champion.
``logged_models`` | ``registry``
    A model's files, uploaded once | its version, registered once, with tags and description.
``serving``
    What MLflow holds of a version, and what an unlearning starts from.
``description``
    What a person reads on a version's page.
"""

import os

# MLflow reports its use to its makers unless told otherwise; a pipeline over personal data stays silent by default.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
