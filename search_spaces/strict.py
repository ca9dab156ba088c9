"""What all tables have in common: frozen, known keys alone, and numbers that are numbers."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Strict(BaseModel):
    """Frozen; knows every one of its keys; takes no text and no truth value for a number.

    Pydantic by itself reads ``true`` as 1 and ``"5"`` as 5, so that a slip of the pen would run.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_of_its_kind(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[info.field_name or ""]
        if not any(type(each).__name__ == "BeforeValidator" for each in field.metadata):
            refuse_other_kinds(field.annotation, value)
        return value


def refuse_other_kinds(annotation: Any, value: Any) -> None:
    """Refuse text and truth values where numbers are wanted, and numbers where truth values are.

    Raises
    ------
    ValueError
        If the value, or one of its items, is of another kind than the annotation says.
    """
    kinds = _kinds(annotation)
    if isinstance(value, (list, tuple)):
        items = [part for kind in kinds if get_origin(kind) is tuple for part in get_args(kind)]
        for item in value if items else ():
            _refuse(_flat(items), item)
    else:
        _refuse(kinds, value)


def _refuse(kinds: list[Any], value: Any) -> None:
    numeric = int in kinds or float in kinds
    if isinstance(value, bool) and numeric and bool not in kinds:
        raise ValueError(f"{value!r} is a truth value; a number is allowed")
    if isinstance(value, str) and numeric and not _takes_text(kinds):
        raise ValueError(f"{value!r} is text; a number is allowed, without quotes")
    if bool in kinds and not numeric and value is not None and not isinstance(value, bool):
        raise ValueError(f"{value!r} is no truth value; allowed are true and false")


def _takes_text(kinds: list[Any]) -> bool:
    return str in kinds or any(isinstance(part, str) for kind in kinds for part in get_args(kind))


def _kinds(annotation: Any) -> list[Any]:
    """The members of a union, or the one type."""
    members = get_args(annotation)
    is_one = not members or get_origin(annotation) in (tuple, list, dict) or _is_literal(annotation)
    return [annotation] if is_one else _flat(members)


def _flat(annotations: Any) -> list[Any]:
    return [kind for each in annotations if each is not Ellipsis for kind in _kinds(each)]


def _is_literal(annotation: Any) -> bool:
    return any(isinstance(part, (str, int)) for part in get_args(annotation))
