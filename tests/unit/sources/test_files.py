"""Which files a partition needs, and what is said when they are not there or cannot be read."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.local_runtime import local_runtime

from tradewind.core.connections import GivenConnections, ObjectStoreConnection
from tradewind.deployment import Deployment
from tradewind.engine.query import run_select
from tradewind.errors import EmptyInput, MalformedInput, MissingInput, SpecError, Unavailable, UsageError
from tradewind.sources import files
from tradewind.sources.delivery import hash_delivery
from tradewind.sources.fetched import Fetched
from tradewind.spec.pipeline import Pipeline
from tradewind.spec.source_files import Files

SPEC = Pipeline.model_validate(
    {
        "pipeline": "shop", "owner": "x", "description": "x", "partition": "week", "timezone": "America/New_York",
        "start": "2013-01-28", "schedule": "@weekly",
        "datasets": {"orders": {"source": {"files": "x"}, "sql": "o.sql"}},
    }
)  # fmt: skip
WEEK = "2013-01-28"
DAYS = SPEC.partitioning.days(WEEK)
CSV = b"carrier,flight\nAA,1\n"


class Landing:
    """A landing zone, on a disk or in an object store."""

    def __init__(self, folder: Path, uri: str, connections: GivenConnections) -> None:
        self.uri = uri
        self.scratch = folder / "scratch"
        self.scratch.mkdir(exist_ok=True)
        self.runtime = local_runtime(folder, landing=uri, connections=connections)

    def fetch(self, pattern: str, **fields: Any) -> Fetched:
        source = Files(files=pattern, **fields)
        return files.fetch_files(source, WEEK, deployment=Deployment(SPEC, self.runtime), scratch=self.scratch)

    def names(self, pattern: str, **fields: Any) -> list[str]:
        return [name.removeprefix(f"{self.uri}/") for name in self.fetch(pattern, **fields).names]

    def deliver(self, *names: str, content: bytes = CSV) -> None:
        for name in names:
            path = Path(self.uri) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


class Bucket(Landing):
    """A landing zone in the bucket of a small object store on this machine."""

    def __init__(self, folder: Path, client: Any, endpoint: str) -> None:
        self.client = client
        options = {
            "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true",
        }  # fmt: skip
        super().__init__(
            folder,
            "s3://landing/zone",
            GivenConnections(
                stores={"store": ObjectStoreConnection(options), "aws_default": ObjectStoreConnection(options)}
            ),
        )

    def deliver(self, *names: str, content: bytes = CSV) -> None:
        for name in names:
            self.client.put_object(Bucket="landing", Key=f"zone/{name}", Body=content)


@pytest.fixture
def disk(tmp_path: Path) -> Landing:
    (tmp_path / "landing").mkdir()
    return Landing(tmp_path, str(tmp_path / "landing"), GivenConnections())


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(tmp_path: Path, server: str) -> Iterator[Bucket]:
    import boto3

    client = boto3.client(
        "s3", aws_access_key_id="key", aws_secret_access_key="secret", region_name="us-east-1", endpoint_url=server
    )
    client.create_bucket(Bucket="landing")
    yield Bucket(tmp_path, client, server)
    for entry in client.list_objects_v2(Bucket="landing").get("Contents", ()):
        client.delete_object(Bucket="landing", Key=entry["Key"])
    client.delete_bucket(Bucket="landing")
    client.close()


@pytest.fixture(params=["disk", "bucket"])
def landing(request: pytest.FixtureRequest) -> Landing:
    found: Landing = request.getfixturevalue(request.param)
    return found


def daily(days: Sequence[str], ending: str = ".csv") -> list[str]:
    return [f"{day}{ending}" for day in days]


def test_a_week_needs_one_file_for_each_of_its_days(landing: Landing) -> None:
    landing.deliver(*reversed(daily(DAYS)))
    assert landing.names("{landing}/{day}.csv") == daily(DAYS)


def test_a_day_is_spelled_as_the_name_says(landing: Landing) -> None:
    spelled = [day.replace("-", "") for day in DAYS]
    landing.deliver(*daily(spelled))
    assert landing.names("{landing}/{day:%Y%m%d}.csv") == daily(spelled)


@pytest.mark.parametrize("name", ["{day}.csv", "{day}/*.csv", "sub/{day}.csv"])
def test_a_folder_that_does_not_exist_is_named_once(disk: Landing, name: str) -> None:
    disk.deliver("flights/2013-01-28.csv")
    with pytest.raises(MissingInput) as caught:
        disk.fetch(f"{{landing}}/flight/{name}")
    folder = f"{disk.uri}/flight"
    assert str(caught.value) == (
        f"partition 2013-01-28: the folder {folder} does not exist; did you mean `{folder}s`? Correct `files`, or "
        "deliver into it, then run the partition again"
    )
    with pytest.raises(MissingInput, match=r"the folder \S*/other does not exist\. Correct `files`"):
        disk.fetch(f"{{landing}}/other/{name}")


def test_folders_of_single_days_are_missing_with_their_files(disk: Landing) -> None:
    disk.deliver("flights/2013-01-28/a.csv")
    with pytest.raises(MissingInput, match=r"6 of 7 files are missing"):
        disk.fetch("{landing}/flights/{day}/*.csv")


def test_every_missing_day_is_named(landing: Landing) -> None:
    landing.deliver(*daily(DAYS[:2]), *daily(DAYS[3:5]), *daily(DAYS[6:]))
    with pytest.raises(
        MissingInput, match=r"2013-01-28: 2 of 7 files are missing: \S*/2013-01-30.csv, \S*/2013-02-02.csv"
    ):
        landing.fetch("{landing}/{day}.csv")


def test_a_landing_zone_that_is_away_is_no_missing_file(disk: Landing) -> None:
    Path(disk.uri).rmdir()
    with pytest.raises(Unavailable, match=r"/2013-01-28.csv: the landing zone .*/landing is not there; mount it"):
        disk.fetch("{landing}/{day}.csv")


def test_a_file_of_the_partition_is_found_by_its_key(landing: Landing) -> None:
    landing.deliver("2013-01-28.csv", "2013-02-04.csv")
    assert landing.names("{landing}/{partition}.csv") == ["2013-01-28.csv"]


def test_a_file_without_a_placeholder_is_required_too(landing: Landing) -> None:
    with pytest.raises(MissingInput, match=r"the file is missing: \S*planes.csv"):
        landing.fetch("{landing}/planes.csv")


def test_an_unknown_placeholder_is_named(disk: Landing) -> None:
    with pytest.raises(SpecError, match=r"no placeholder \{dya\}"):
        disk.fetch("{landing}/{dya}.csv")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("{landing}/b/*.csv", ["b/1.csv", "b/10.csv", "b/2.csv"]),
        ("{landing}/b/?.csv", ["b/1.csv", "b/2.csv"]),
        ("{landing}/*/1.csv", ["a/1.csv", "b/1.csv"]),
        ("{landing}/?/*.csv", ["a/1.csv", "b/1.csv", "b/10.csv", "b/2.csv"]),
    ],
)
def test_patterns_name_files_in_the_order_of_their_names(landing: Landing, pattern: str, found: list[str]) -> None:
    landing.deliver("a/1.csv", "b/10.csv", "b/1.csv", "b/2.csv", "b/2.csv.part", "b/.3.csv", "b/c/4.csv", "5.csv")
    assert landing.names(pattern) == found


def test_a_pattern_needs_a_file_for_every_day(landing: Landing) -> None:
    landing.deliver(*(f"{day}/{number}.csv" for day in DAYS[:-1] for number in (1, 2)))
    with pytest.raises(MissingInput, match=r"1 of 7 files are missing: \S*/2013-02-03/\*.csv"):
        landing.fetch("{landing}/{day}/*.csv")
    landing.deliver(f"{DAYS[-1]}/1.csv")
    assert landing.names("{landing}/{day}/*.csv") == [f"{day}/{n}.csv" for day in DAYS[:-1] for n in (1, 2)] + [
        f"{DAYS[-1]}/1.csv"
    ]


@pytest.mark.parametrize("name", ["with space.csv", "it's.csv", "Ümläut ✓.csv", "a[1].csv", "{}%20&+.csv", 'q"q.csv'])
def test_any_name_is_a_name(landing: Landing, name: str, tmp_path: Path) -> None:
    landing.deliver(name)
    landing.deliver("a1.csv", content=b"carrier,flight\nwrong,9\n")
    pattern = name.replace("{}", "??")
    fetched = landing.fetch(f"{{landing}}/{pattern}")
    assert fetched.names == (f"{landing.uri}/{name}",)
    (tmp_path / "q.sql").write_text("SELECT carrier FROM source")
    delivery = hash_delivery(Files(files="-"), fetched)
    with run_select(tmp_path / "q.sql", {"source": delivery.view()}, parameters={}) as rows:
        assert rows.read_all().to_pylist() == [{"carrier": "AA"}]


def test_wildcards_in_the_landing_zone_stand_for_themselves(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "*").mkdir()
    zone = Landing(tmp_path, str(tmp_path / "*"), GivenConnections())
    Path(tmp_path / "x" / "a.csv").write_bytes(CSV)
    with pytest.raises(MissingInput):
        zone.fetch("{landing}/*.csv")
    zone.deliver("b.csv")
    assert zone.names("{landing}/*.csv") == ["b.csv"]


EMPTY = pa.BufferOutputStream()
pq.write_table(pa.table({"x": pa.array([], pa.int64())}), EMPTY)


@pytest.mark.parametrize(
    ("kind", "ending", "content"),
    [
        ("csv", ".csv", b"carrier,flight\n"),
        ("csv", ".csv", b"carrier,flight\n\n\n"),
        ("csv", ".csv.gz", gzip.compress(b"carrier,flight\n")),
        ("csv", ".csv.zst", pa.compress(b"carrier,flight\n", "zstd", asbytes=True)),
        ("jsonl", ".jsonl", b""),
        ("jsonl", ".jsonl", b"\n \n"),
        ("jsonl", ".jsonl.gz", gzip.compress(b"")),
        ("parquet", ".parquet", EMPTY.getvalue().to_pybytes()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # gzip's bytes hold the time; workers must agree
)
def test_every_file_without_a_row_is_named(landing: Landing, kind: str, ending: str, content: bytes) -> None:
    landing.deliver(*daily(DAYS[1:], ending), content=full(kind, ending))
    landing.deliver(*daily(DAYS[:1], ending), content=content)
    with pytest.raises(EmptyInput, match=rf"1 of 7 files have no row: \S*/2013-01-28{ending}\."):
        landing.fetch(f"{{landing}}/{{day}}{ending}", format=kind)


def test_a_link_out_of_the_landing_zone_is_refused(disk: Landing, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_bytes(CSV)
    (Path(disk.uri) / "x.csv").symlink_to(secret)
    with pytest.raises(MalformedInput, match=rf"x\.csv is a link that leads out of {disk.uri}, to {secret}"):
        disk.fetch("{landing}/x.csv", missing="skip", empty="skip", columns={"carrier": "VARCHAR"})
    (Path(disk.uri) / "y").symlink_to(tmp_path)
    with pytest.raises(MalformedInput, match="is a link that leads out of"):
        disk.fetch("{landing}/y/*.csv")
    with pytest.raises(MalformedInput, match="is a link that leads out of"):
        disk.fetch(f"{disk.uri}/x.csv")


def test_links_inside_the_landing_zone_and_to_it_are_followed(disk: Landing, tmp_path: Path) -> None:
    disk.deliver("v2/x.csv")
    (Path(disk.uri) / "latest").symlink_to("v2")
    assert disk.names("{landing}/latest/*.csv") == ["latest/x.csv"]
    (tmp_path / "mounted").symlink_to(disk.uri)
    disk.runtime = replace(disk.runtime, landing=str(tmp_path / "mounted"))
    assert disk.fetch("{landing}/v2/x.csv").names == (f"{tmp_path}/mounted/v2/x.csv",)


HTML = b"<html><body>502 Bad Gateway</body></html>\n"
OTHER = pa.BufferOutputStream()
pq.write_table(pa.table({"y": pa.array([], pa.int64())}), OTHER)


@pytest.mark.parametrize(
    ("kind", "columns", "content"),
    [
        ("csv", {"carrier": "VARCHAR", "flight": "BIGINT"}, HTML),
        ("csv", {"carrier": "VARCHAR", "flight": "BIGINT"}, b"carrier,fligt\n"),
        ("csv", {}, HTML),  # beside files that are whole
        ("parquet", {"x": "BIGINT"}, HTML),
        ("parquet", {"x": "BIGINT"}, OTHER.getvalue().to_pybytes()),
    ],
)
def test_a_file_without_a_row_and_with_other_columns_is_malformed_and_not_empty(
    disk: Landing, kind: str, columns: dict[str, str], content: bytes
) -> None:
    disk.deliver(*daily(DAYS[:6], f".{kind}"), content=full(kind, f".{kind}"))
    disk.deliver(*daily(DAYS[6:], f".{kind}"), content=content)
    source = Files(files=f"{{landing}}/{{day}}.{kind}", format=kind, columns=columns)
    with pytest.raises(MalformedInput, match=DAYS[6]):
        files.fetch_files(source, WEEK, deployment=Deployment(SPEC, disk.runtime), scratch=disk.scratch)


def full(kind: str, ending: str) -> bytes:
    if kind == "parquet":
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"x": [1]}), sink)
        return bytes(sink.getvalue().to_pybytes())
    text = CSV if kind == "csv" else b'{"x": 1}\n'
    packed = {".gz": gzip.compress, ".zst": lambda data: pa.compress(data, "zstd", asbytes=True)}
    return bytes(packed.get(ending[-4:].lstrip("lv"), bytes)(text))


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.csv.zst"])
def test_a_csv_file_of_no_bytes_is_malformed(disk: Landing, name: str) -> None:
    disk.deliver(name, content=b"")
    with pytest.raises(MalformedInput, match=name):
        disk.fetch(f"{{landing}}/{name}")


def test_a_folder_in_the_place_of_a_file_is_told(disk: Landing) -> None:
    (Path(disk.uri) / "x.csv").mkdir()
    with pytest.raises(MalformedInput, match=r"x.csv is a folder; a file must stand there"):
        disk.fetch("{landing}/x.csv")


def test_a_pipe_in_the_place_of_a_file_is_told_and_not_waited_for(disk: Landing) -> None:
    os.mkfifo(Path(disk.uri) / "x.csv")
    with pytest.raises(MalformedInput, match=r"x.csv is not a regular file"):
        disk.fetch("{landing}/x.csv")


NOBODY = """
import os, sys
sys.path.insert(0, "include")
from pathlib import Path
from tradewind.errors import MalformedInput
from tradewind.sources.fetched import Fetched
from tradewind.sources.file_headers import refuse_empty_files
from tradewind.spec.source_files import Files
path = Path(sys.argv[1])
if os.geteuid() == 0:
    os.setuid(65534)
try:
    refuse_empty_files(Files(files="x"), Fetched((path,), (str(path),), "csv"))
except MalformedInput as exc:
    print(exc)
"""


def test_a_file_that_must_not_be_read_is_told(disk: Landing) -> None:
    disk.deliver("x.csv")
    (Path(disk.uri) / "x.csv").chmod(0)
    done = subprocess.run(
        [sys.executable, "-c", NOBODY, f"{disk.uri}/x.csv"], capture_output=True, text=True, check=True
    )
    assert "x.csv cannot be read: Permission denied; let the user who runs the tasks read it" in done.stdout


def test_without_a_connection_the_object_store_is_the_default_one(bucket: Bucket) -> None:
    bucket.deliver("x.csv")
    assert bucket.names("{landing}/x.csv") == bucket.names("{landing}/x.csv", connection="store") == ["x.csv"]


def test_what_comes_from_an_object_store_is_the_same_as_from_a_disk(bucket: Bucket, disk: Landing) -> None:
    for place in (bucket, disk):
        place.deliver(*daily(DAYS, ".csv.gz"), content=gzip.compress(CSV, mtime=0))  # the time is part of its bytes
    source = Files(files="-")
    digests = {hash_delivery(source, place.fetch("{landing}/{day}.csv.gz")).digest for place in (bucket, disk)}
    assert len(digests) == 1


def test_an_unknown_connection_and_bucket_are_named(bucket: Bucket) -> None:
    with pytest.raises(UsageError, match="there is no connection other; there are: store"):
        bucket.fetch("{landing}/x.csv", connection="other")
    with pytest.raises(MalformedInput, match=r"s3://elsewhere/x.csv: there is no such bucket; .* connection store"):
        bucket.fetch("s3://elsewhere/x.csv", connection="store")


def test_a_store_that_is_away_is_tried_again(tmp_path: Path, free_port: int) -> None:
    options = {
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port}",
    }  # fmt: skip
    away = Landing(tmp_path, "s3://landing", GivenConnections(stores={"store": ObjectStoreConnection(options)}))
    with pytest.raises(Unavailable, match="the store behind store cannot be reached"):
        away.fetch("{landing}/x.csv", connection="store")


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.socket() as open_:
        open_.bind(("127.0.0.1", 0))
        return int(open_.getsockname()[1])
