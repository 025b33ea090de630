"""SpaceNet's bucket on this machine: moto's server with made-up tiles under SpaceNet's own keys."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from core.spacenet.bucket import BUCKET, REGION, area_named
from tests.core.tile_factory import grid_at, make_tile

VEGAS, RIO = "AOI_2_Vegas", "AOI_1_RIO"


@dataclass(frozen=True)
class FakeBucket:
    """The bucket and what was asked of it."""

    url: str
    client: Any
    folder: Path

    def put(self, key: str, content: bytes) -> None:
        """A file anyone may read."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content, ACL="public-read")

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=key)

    def get(self, key: str) -> bytes:
        return self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def put_tile(self, aoi: str, number: int) -> None:
        """Colour, labels and eight bands of a tile, 64 pixels a side."""
        area = area_named(aoi)
        colour, labels, eight = (product.name for product in area.products)
        tile = make_tile(self.folder, f"{aoi}_img{number}", grid_at(column=64 * number), eight=True)
        for product, file in ((colour, tile.image), (labels, tile.labels), (eight, tile.products["8band"])):
            self.put(area.key(product, number), file.read_bytes())

    def clear(self) -> None:
        for found in self.client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            self.remove(found["Key"])


@contextmanager
def serving(folder: Path) -> Iterator[FakeBucket]:
    """A server with an empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name=REGION, aws_access_key_id="made-up", aws_secret_access_key="made-up"
    )
    client.create_bucket(Bucket=BUCKET)
    try:
        yield FakeBucket(url, client, folder)
    finally:
        client.close()
        server.stop()


if __name__ == "__main__":  # for a look by hand: python -m tests.core.spacenet_bucket
    from tempfile import mkdtemp

    with serving(Path(mkdtemp())) as bucket:
        for n in range(1, 21):
            bucket.put_tile(VEGAS, n)
        print(f"AWS_ENDPOINT_URL={bucket.url}", flush=True)
        os.read(0, 1)
