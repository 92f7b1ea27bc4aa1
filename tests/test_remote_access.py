"""Who may read a bucket, and what whoever may not is told."""

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from bucket_server import Bucket, Proxy, passing, s3_server, use

from fursure.dataset.sources import open_source
from fursure.errors import BadImage, RemoteFailed
from fursure.remote import store as store_module
from fursure.remote.place import RemotePath, remote_place
from fursure.remote.store import RemoteStore, opened_store, store_of

pytestmark = pytest.mark.long
Keys = dict[str, str]
STRANGER: Keys = {}
UNKNOWN = {"AWS_ACCESS_KEY_ID": "AKIANOBODY", "AWS_SECRET_ACCESS_KEY": "no"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as url:
        for name in ("private", "public"):
            Bucket(url, name).put("photos/a.jpg", b"abc")
        public = {"Bucket": "public", "ACL": "public-read"}
        Bucket(url, "public").client.put_object_acl(Key="photos/a.jpg", **public)
        yield url


@pytest.fixture(scope="module")
def users(endpoint: str) -> dict[str, Keys]:
    """Return the keys of one who may do anything in S3, and of one who may do nothing."""
    import boto3

    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    iam = boto3.client("iam", endpoint_url=endpoint, region_name="us-east-1", **keys)
    made = {}
    for user in ("granted", "powerless"):
        iam.create_user(UserName=user)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        names = {"AWS_ACCESS_KEY_ID": "AccessKeyId", "AWS_SECRET_ACCESS_KEY": "SecretAccessKey"}
        made[user] = {ours: key[theirs] for ours, theirs in names.items()}
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="granted", PolicyName="s3", PolicyDocument=policy)
    return made | {"forger": made["granted"] | {"AWS_SECRET_ACCESS_KEY": "no"}}


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have no profile, and wait for nothing."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(store_module, "_PAUSE", 0.001)


def sign_in(monkeypatch: pytest.MonkeyPatch, endpoint: str, keys: Keys) -> None:
    use(monkeypatch, endpoint)
    for name in UNKNOWN:
        monkeypatch.delenv(name)
    for name, value in keys.items():
        monkeypatch.setenv(name, value)


def first_of(place: str) -> bytes:
    with open_source(place) as source:
        return source.read(next(iter(source.names())), 9)


@pytest.mark.parametrize("place", ["s3://public/photos", "s3://public/photos/a.jpg"])
def test_a_public_bucket_is_read_without_credentials_and_without_a_signature(
    place: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(endpoint)
    with passing(proxy) as url:
        sign_in(monkeypatch, url, STRANGER)
        assert first_of(place) == b"abc"
    assert proxy.asked
    assert not proxy.signed


class NoCredentialsError(Exception):
    """What botocore calls it."""


class _Public:
    """Objects that only strangers can read, for there are no credentials; `together` waits."""

    def __init__(self, together: Barrier | None) -> None:
        self._together = together

    def info(self, key: str) -> dict[str, object]:
        if self._together is None:
            return {"type": "file", "name": key, "size": 1}
        self._together.wait(timeout=5)
        raise NoCredentialsError


def test_threads_that_find_out_together_that_there_are_no_credentials_all_read_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together = Barrier(4)
    monkeypatch.setattr(
        store_module, "opened_files", lambda _, anonymous: _Public(None if anonymous else together)
    )
    store = RemoteStore(RemotePath("s3", "public"))
    with ThreadPoolExecutor(4) as pool:
        facts = list(pool.map(store.facts, "abcd"))
    assert [each.key for each in facts if each] == ["a", "b", "c", "d"]


def test_a_stranger_is_told_that_credentials_are_lacking(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(monkeypatch, endpoint, STRANGER)
    with pytest.raises(RemoteFailed, match="there are no credentials and strangers may not"):
        first_of("s3://private/photos/a.jpg")
    with pytest.raises(RemoteFailed, match="there is no such bucket"):
        first_of("s3://nowhere/photos")
    with pytest.raises(BadImage, match=r"a\.jpg: cannot be read: no permission"):
        first_of("s3://private/photos")  # it may be listed


@pytest.mark.parametrize("place", ["s3://private/photos", "s3://private/photos/a.jpg"])
def test_a_bucket_that_asks_who_one_is_gives_to_whom_it_may(
    place: str, endpoint: str, users: dict[str, Keys], monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto import settings

    monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    sign_in(monkeypatch, endpoint, users["granted"])
    assert first_of(place) == b"abc"
    with pytest.raises(RemoteFailed, match="there is no such bucket"):
        first_of("s3://nowhere/photos")
    sign_in(monkeypatch, endpoint, users["powerless"])
    with pytest.raises(RemoteFailed, match="no permission; the credentials need the rights to"):
        first_of(place)
    for keys in (users["forger"], UNKNOWN):
        sign_in(monkeypatch, endpoint, keys)
        with pytest.raises(RemoteFailed, match="the credentials are wrong"):
            first_of(place)


@pytest.mark.parametrize(
    ("status", "code", "sentence", "most"),
    [
        (404, "NoSuchBucket", "there is no such bucket", 3),
        (403, "AccessDenied", "no permission", 3),
        (400, "ExpiredToken", "the credentials have expired", 3),  # S3 itself; others say 403
        (403, "ExpiredToken", "the credentials have expired", 3),
        (400, "InvalidToken", "the credentials are wrong", 3),
        (403, "InvalidAccessKeyId", "the credentials are wrong", 3),
        (400, "AuthorizationHeaderMalformed", "the bucket lies in another region", 8),
        (503, "SlowDown", "the server answers 503.*, also after 7 tries", 7),
    ],
)
@pytest.mark.parametrize("name", ["x", "x.csv"])
def test_what_a_bucket_refuses_is_one_sentence_and_asked_for_no_more_than_helps(
    name: str, status: int, code: str, sentence: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy("nobody")
    proxy.answer = status, code
    with passing(proxy) as url:
        use(monkeypatch, url)
        with pytest.raises(RemoteFailed, match=rf"^s3://pets/\S+ cannot be used: .*{sentence}"):
            first_of(f"s3://pets/{name}")
    assert proxy.asked <= most


def test_a_stranger_to_google_reads_without_a_warning_a_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Open a store without its library, which no test installs."""
    import fsspec

    use(monkeypatch, "")
    logger = logging.getLogger("gcsfs")
    monkeypatch.setattr(logger, "level", logging.NOTSET)
    monkeypatch.setattr(fsspec, "filesystem", lambda *_, **__: object())
    place = remote_place("gs://bucket/photos")
    assert place is not None
    store_of(place)
    assert not logger.isEnabledFor(logging.WARNING)
    opened_store.cache_clear()
