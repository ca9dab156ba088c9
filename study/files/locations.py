"""Where files are: a path of this machine, or a URI, read strictly and without secrets."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from study.errors import UsageError, unknown_name

SCHEMES = ("abfs", "abfss", "file", "gcs", "gs", "hdfs", "s3", "viewfs")
"""Kinds of URIs that pyarrow opens."""

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//?)(.*)", re.DOTALL)
_SECRET = (
    r"[\w.-]*(?:secret|token|passw|credential|signature|sas|(?:access|account|api)_?key)[\w.-]*"
)
_USER = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s'\"?]*@")
_USER_OF_VALUE = re.compile(r"([?&][\w.-]+=)[^&\s'\"]*@")
_VALUE = re.compile(rf"([?&]{_SECRET}=)[^&\s'\"]*", re.IGNORECASE)


@dataclass(frozen=True)
class Location:
    """A place for files.

    Parameters
    ----------
    scheme
        Of a URI; None of a path of this machine.
    path
        As it is, nothing percent-encoded; of a URI, what follows ``scheme://``.
    query
        What a URI says of how it is reached, such as ``endpoint_override=localhost:9000``.
    """

    scheme: str | None
    path: str
    query: str = ""

    def __str__(self) -> str:
        if self.scheme is None:
            return self.path
        behind = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{quote(self.path, safe=_AS_IT_IS)}{behind}"

    def child(self, *parts: str) -> Location:
        """The place below this one; a query stays behind all."""
        return Location(self.scheme, "/".join((self.path.rstrip("/"), *parts)), self.query)

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> Location:
        """The place above this one."""
        return Location(self.scheme, self.path.rpartition("/")[0] or "/", self.query)


_AS_IT_IS = "/:@!$&'()*+,;=~"


def read_location(location: str | os.PathLike[str]) -> Location:
    """Read a path or a URI.

    Parameters
    ----------
    location
        A path, in which ``~`` is the user's home; ``file:///path``; or a URI such as
        ``s3://bucket/studies?endpoint_override=localhost:9000&scheme=http``.

    Raises
    ------
    UsageError
        If it is empty, of an unknown kind, or holds what no path can, or a secret, which the
        message does not repeat.
    """
    text = os.fspath(location)
    if not text.strip():
        raise UsageError("location: it is empty; write the path of a folder, or a URI.")
    unusual = [c for c in text if unicodedata.category(c) in ("Cc", "Cs")]
    if unusual:
        raise UsageError(
            f"location {text!r}: {unusual[0]!r} is not allowed; neither control characters nor "
            "bytes that are not UTF-8 are."
        )
    uri = _URI.fullmatch(text)
    if uri is None and (_URI.fullmatch(text.strip()) is not None):
        raise UsageError("location: a URI has no spaces before it.")
    if uri is None or ("/" in uri[1]):
        return Location(None, _absolute(text))
    scheme, slashes, rest = uri[1].lower(), uri[2], uri[3]
    if slashes == "/" and scheme not in SCHEMES:
        return Location(None, _absolute(text))
    if scheme not in SCHEMES:
        raise unknown_name("location: the kind of its URI", uri[1], SCHEMES)
    if scheme == "file":
        return Location(None, _path_of_file(text))
    if slashes == "/":
        _refuse_secrets(scheme, *rest.partition("?")[::2])
        raise UsageError(f"location {text!r}: a URI has two slashes: {scheme}://...")
    return _of_uri(scheme, rest)


def _absolute(text: str) -> str:
    path = os.path.expanduser(text)  # noqa: PTH111  (Path's own raises where there is no home)
    if path.startswith("~"):
        raise UsageError(
            f"location {text!r}: there is no user {path.partition('/')[0][1:]!r} whose home it "
            "could be. For a folder of this name write './~...'."
        )
    return str(Path(path).absolute())


def _path_of_file(text: str) -> str:
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not parts.path:
        raise UsageError(
            f"location {hide_secrets(text)!r}: write file:///path, without a host; '?' is written "
            "%3F and '#' %23."
        )
    path = unquote(parts.path)
    if "\0" in path:
        raise UsageError(f"location {text!r}: '%00' is not allowed.")
    return str(Path(path).absolute())


def _of_uri(scheme: str, rest: str) -> Location:
    path, _, query = rest.partition("?")
    authority = path.partition("/")[0]
    _refuse_secrets(scheme, path, query)
    if "#" in rest:
        raise UsageError(f"location {scheme}://{rest!r}: '#' is written %23.")
    if not authority:
        raise UsageError(f"location {scheme}://{rest}: it names no bucket or host.")
    parts = [unquote(part) for part in path.split("/") if part]
    if {".", ".."} & set(parts) or any("/" in part or "\0" in part for part in parts):
        raise UsageError(f"location {scheme}://{rest}: '.' and '..' are no parts of a URI.")
    return Location(scheme, "/".join(parts), query)


def _refuse_secrets(scheme: str, path: str, query: str) -> None:
    """Secrets would be written into study.toml, provenance, events and report."""
    authority = path.partition("/")[0]
    before, at, _ = authority.rpartition("@")
    # A secret of S3 may hold slashes; then '@' is no longer where a URI would have it.
    is_key = scheme == "s3" and ("@" in path or ":" in authority)
    where = "before '@'" if is_key or (at and ":" in before) else None
    for key, value in parse_qsl(query.replace(";", "&"), keep_blank_values=True):
        if re.fullmatch(_SECRET, key, re.IGNORECASE) or "@" in value:
            where = f"in {key!r}"
    if where is not None:
        raise UsageError(
            f"location {scheme}://...: it seems to hold a secret ({where}), which would be written "
            "into the study's files. Give keys in the environment (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY), in a profile (AWS_PROFILE), or by the machine's role."
        )


def hide_secrets(text: str) -> str:
    """A text without what is secret in the URIs within it: users, passwords, keys and tokens."""
    return _VALUE.sub(r"\1***", _USER_OF_VALUE.sub(r"\1***@", _USER.sub(r"\1***@", text)))
