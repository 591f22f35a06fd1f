"""Make the S3 buckets that are named on the command line, where they are missing.

Endpoint and key come from ``MLFLOW_S3_ENDPOINT_URL`` and the ``AWS_`` variables. Running it again changes nothing.
"""

import os
import sys

import boto3


def make_buckets(names: list[str]) -> None:
    """Make each bucket that the account does not have."""
    s3 = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
    present = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    for name in names:
        if name not in present:
            s3.create_bucket(Bucket=name)


if __name__ == "__main__":
    make_buckets(sys.argv[1:])
