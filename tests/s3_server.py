"""An S3-compatible server on a free port of this machine, and buckets in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.request import Request, urlopen

KEYS = {
    "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "not-for-any-file",
    "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip
"""For the environment: of no bucket that is anybody's."""


@dataclass(frozen=True)
class S3Server:
    """Where the server listens."""

    port: int

    @property
    def query(self) -> str:
        """What a URI says to reach it: ``s3://bucket/x?`` and this."""
        return f"endpoint_override=127.0.0.1:{self.port}&scheme=http"

    @property
    def endpoint(self) -> str:
        """For the environment variable AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}"

    def uri(self, path: str) -> str:
        """A URI of a bucket and a path in it."""
        return f"s3://{path}?{self.query}"

    def make_bucket(self, name: str) -> None:
        """Make a bucket; nothing happens if it is there."""
        with urlopen(Request(f"{self.endpoint}/{name}", method="PUT")) as answer:
            assert answer.status == 200


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run moto's server in this process. It takes any keys, such as :data:`KEYS`."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield S3Server(server.get_host_and_port()[1])
    finally:
        server.stop()
