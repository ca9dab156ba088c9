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

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(/{0,2})(.*)", re.DOTALL)
_SECRET = (
    r"[\w.-]*(?:secret|token|passw|credential|signature|sas|(?:access|account|api)_?key)[\w.-]*"
)
_IS_SECRET = re.compile(_SECRET, re.IGNORECASE)
_SECRET_VALUE = re.compile(rf"(?<![\w.-])({_SECRET})=", re.IGNORECASE)
_VALUE_IN_TEXT = re.compile(rf"([?&;#]{_SECRET}=)[^&\s'\"]*", re.IGNORECASE)

_IN_TEXT = re.compile(
    rf"(?<![\w+.-])((?:[a-z][a-z0-9+.-]*://|(?:{'|'.join(SCHEMES)}):/))"
    r"([^\s'\"]+?)(?=[;:.,!)]*(?:[\s'\"]|$))",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"(?:[\w.-]+(?::\d+)?)?(?:/[\w.~%+=,:!()$*/-]*)?")
_PLAIN_OPTION = re.compile(
    "(?:allow_bucket_creation|allow_bucket_deletion|allow_delayed_open|blob_storage_authority"
    "|dfs_storage_authority|enable_tls|endpoint_override|region|replication|retry_limit_seconds"
    r"|scheme)=[\w.:%-]*"
)
"""What of a URI is shown: host or bucket, path, and options; of each no more than these."""


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


_AS_IT_IS = "/:@!$'()*+,=~"


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
            f"location {hide_secrets(text)!r}: {unusual[0]!r} is not allowed; neither control "
            "characters nor bytes that are not UTF-8 are."
        )
    uri = _URI.fullmatch(text)
    if uri is None or not _is_meant(uri):
        stripped = _URI.fullmatch(text.strip())
        if stripped is not None and _is_meant(stripped):
            raise UsageError("location: a URI has no spaces before it.")
        return Location(None, _absolute(text))
    scheme, slashes, rest = uri[1].lower(), uri[2], uri[3]
    if scheme not in SCHEMES:
        raise unknown_name("location: the kind of its URI", uri[1], SCHEMES)
    if scheme == "file" and slashes:
        return Location(None, _path_of_file(text))
    if slashes != "//":
        _refuse_secrets(scheme, *rest.partition("?")[::2])
        raise UsageError(
            f"location {scheme}:{slashes}{_shown(rest)}: a URI has two slashes: {scheme}://..."
        )
    return _of_uri(scheme, rest)


def _is_meant(uri: re.Match[str]) -> bool:
    """Whether it is no path of this machine that has a colon in it."""
    return uri[2] == "//" or uri[1].lower() in SCHEMES


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
            f"location file://{_shown(text.partition(':')[2].removeprefix('//'))}: write "
            "file:///path, without a host; '?' is written %3F and '#' %23."
        )
    path = unquote(parts.path)
    if "\0" in path:
        raise UsageError(f"location file://{_shown(parts.path)}: '%00' is not allowed.")
    return str(Path(path).absolute())


def _of_uri(scheme: str, rest: str) -> Location:
    path, _, query = rest.partition("?")
    authority = path.partition("/")[0]
    _refuse_secrets(scheme, path, query)
    shown = f"location {scheme}://{_shown(rest)}"
    for odd in "#;&":
        # Not parts of a URI that pyarrow opens: what was meant by them would be of a path's name.
        if odd in path or (odd != "&" and odd in query):
            raise UsageError(f"{shown}: {odd!r} is written {quote(odd)}.")
    if not authority:
        raise UsageError(f"{shown}: it names no bucket or host.")
    parts = [unquote(part) for part in path.split("/") if part]
    if {".", ".."} & set(parts) or any("/" in part or "\0" in part for part in parts):
        raise UsageError(f"{shown}: '.' and '..' are no parts of a URI.")
    return Location(scheme, "/".join(parts), query)


def _refuse_secrets(scheme: str, path: str, query: str) -> None:
    """Secrets would be written into study.toml, provenance, events and report."""
    authority = path.partition("/")[0]
    before, at, _ = authority.rpartition("@")
    # A secret of S3 may hold slashes; then '@' is no longer where a URI would have it.
    is_key = scheme == "s3" and ("@" in path or ":" in authority)
    where = "before '@'" if is_key or (at and ":" in before) else None
    for key, value in parse_qsl(re.sub("[;#]", "&", query), keep_blank_values=True):
        if _IS_SECRET.fullmatch(key) or "@" in value:
            where = "in an option"
    if _SECRET_VALUE.search(unquote(path)) is not None:
        where = "in its path"
    if where is not None:
        raise UsageError(
            f"location {scheme}://...: it seems to hold a secret ({where}), which would be written "
            "into the study's files. Give keys in the environment (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY), in a profile (AWS_PROFILE), or by the machine's role."
        )


def hide_secrets(text: str) -> str:
    """A text in which of each URI no more is left than its kind, host or bucket, and plain path.

    Options that say how a store is reached stay too; users, keys, tokens, and whatever stands
    where a URI has no place for it, go.
    """
    shown = _IN_TEXT.sub(lambda found: found[1] + _shown(found[2]), text)
    return _VALUE_IN_TEXT.sub(r"\1***", shown)


def _shown(rest: str) -> str:
    """What is shown of what follows the slashes of a URI."""
    before, _, query = rest.partition("?")
    _, at, place = before.rpartition("@")
    plain = _PLAIN.match(place)
    assert plain is not None  # at least empty
    secret = _SECRET_VALUE.search(unquote(plain[0]))
    kept = plain[0] if secret is None else plain[0].partition("/")[0]
    said = ("***@" if at else "") + kept + ("" if kept == place else "...")
    options = [
        each if _PLAIN_OPTION.fullmatch(each) else "***" for each in query.split("&") if each
    ]
    return f"{said}?{'&'.join(options)}" if options else said
