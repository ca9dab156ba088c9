"""Paths and URIs as users write them."""

from pathlib import Path

import pytest

from study.errors import UsageError
from study.files.locations import hide_secrets, read_location


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("/a/b", "/a/b"),
        ("~/studies", "{home}/studies"),
        ("/a/😀", "/a/😀"),
        ("/a/what?not#x", "/a/what?not#x"),
        ("file:///a/b%20c", "/a/b c"),
        ("FILE:/a/b", "/a/b"),
        ("file://localhost/a", "/a"),
        ("s3://b/x/", "s3://b/x"),
        ("S3://b//x", "s3://b/x"),
        ("s3://b/my studies", "s3://b/my%20studies"),
        ("s3://b/my%20studies", "s3://b/my%20studies"),
        ("s3://b/😀", "s3://b/%F0%9F%98%80"),
        ("s3://b/a%3Bb%26c%23d", "s3://b/a%3Bb%26c%23d"),
        ("s3://b/date=3/x", "s3://b/date=3/x"),
        ("a:b", "{here}/a:b"),
        ("s3://b/x?scheme=http&endpoint_override=h:1", "s3://b/x?scheme=http&endpoint_override=h:1"),
        ("gs://anonymous@b/x", "gs://anonymous@b/x"),
    ],
)  # fmt: skip
def test_a_location_is_read(written: str, read: str) -> None:
    place = read_location(written)
    assert str(place) == read.format(home=Path.home(), here=Path.cwd())
    assert read_location(str(place)) == place


def test_a_relative_path_is_one_from_here() -> None:
    assert str(read_location("studies")) == str(Path.cwd() / "studies")


def test_what_lies_below_a_uri_stands_before_its_query() -> None:
    place = read_location("s3://b/x?region=r")
    assert str(place.child("n", "report.html")) == "s3://b/x/n/report.html?region=r"
    assert str(place.child("n").parent) == str(place)
    assert place.child("n").name == "n"


SECRETS = [
    "s3://KEY:SECRET@b/x", "s3://SECRET@b", "s3://KEY:SEC/SECRET@b/x", "s3://KEY:SECRET",
    "s3://b/x?secret_key=SECRET", "s3://b?region=r&session_token=SECRET",
    "s3://b?ACCESS_KEY=SECRET", "s3://b?aws%5Fsecret=SECRET", "s3://b?Password=SECRET",
    "s3://b/x?endpoint_override=u:SECRET@h&scheme=http", "s3:/KEY:SECRET@b/x",
    "abfs://u:SECRET@c/x", "abfs://c/x?account_key=SECRET", "hdfs://u:SECRET@h:1/x",
    "s3://b/x;secret_key=SECRET", "gs://b;secret_key=SECRET/x", "s3://b/x%3Bsecret_key=SECRET",
    "s3://b/secret_key=SECRET/x", "abfs://b/x#token=SECRET", "gs://b/x?region=r;api_key=SECRET",
    "gs://b/x?region=r#session_token=SECRET", "s3:KEY:SECRET@b",
]  # fmt: skip


@pytest.mark.parametrize("written", SECRETS)
def test_a_secret_is_refused_and_not_repeated(written: str) -> None:
    with pytest.raises(UsageError, match="AWS_SECRET_ACCESS_KEY") as told:
        read_location(written)
    assert "SECRET" not in str(told.value).replace("AWS_SECRET_ACCESS_KEY", "")


ODD = [
    "s3://b/x;SECRET", "s3://b/x#SECRET", "gs://b;SECRET/x", "gs://b#SECRET", "abfs://b/x&SECRET",
    "hdfs://h:1/x?region=r;SECRET", "viewfs://h/x?region=r#SECRET", "s3:///x;SECRET",
    "s3:/b/x;SECRET", "file://h/x;SECRET", "file://h/x y#SECRET", "s3://b/../x y;SECRET",
]  # fmt: skip


@pytest.mark.parametrize("written", ODD)
def test_what_a_uri_has_no_place_for_is_refused_and_not_repeated(written: str) -> None:
    with pytest.raises(UsageError, match=written.partition(":")[0]) as told:
        read_location(written)
    assert "SECRET" not in str(told.value).replace("AWS_SECRET_ACCESS_KEY", "")


@pytest.mark.parametrize(
    "written",
    [s for s in [*SECRETS, *ODD] if ":/" in s and " " not in s]
    + ["s3://b/x?other=SECRET", "http://u:SECRET@h:8265", "s3://b/x,SECRET@c"],
)
def test_a_secret_is_hidden_where_a_text_repeats_it(written: str) -> None:
    hidden = hide_secrets(f"not '{written}', and s3://b/x?region=r")
    assert "SECRET" not in hidden
    assert hidden.endswith("', and s3://b/x?region=r")


@pytest.mark.parametrize(
    "text",
    [
        "s3://b/x; then go on with: prune-study resume s3://b/date=3/my%20x.",
        "s3://b/x?scheme=http&endpoint_override=127.0.0.1:9000",
        "space.function: hdfs:draw, and http://10.0.0.1:8265: (see s3://b).",
    ],
)
def test_what_is_plain_stays_as_it_is(text: str) -> None:
    assert hide_secrets(text) == text


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("", "empty"),
        (" ", "empty"),
        (" s3://b/x", "no spaces before it"),
        ("a\nb", "control characters"),
        ("a\0b", "control characters"),
        ("a\udcffb", "UTF-8"),
        ("~nobody-of-this-name/x", "no user"),
        ("file://host/x", "without a host"),
        ("file:///x?y=1", "%3F"),
        ("s3:/b/x", "two slashes"),
        ("s4://b", "Did you mean 's3'"),
        ("s3://", "no bucket"),
        ("s3://b/x#y", "%23"),
        ("s3://b/x;y", "%3B"),
        ("s3://b/x&y", "%26"),
        ("s3:b/x", "two slashes"),
        ("s3://b/../x", "no parts of a URI"),
    ],
)
def test_what_is_no_location_is_refused(written: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_location(written)
