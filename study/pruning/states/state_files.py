"""States as safetensors: tensors by name, everything else as JSON in the header. No pickle."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from safetensors.torch import load, save

from study.errors import UsageError
from study.pruning.masking.masks import MaskedLayers
from study.pruning.measuring import Spent
from study.pruning.states.progress import Progress
from study.pruning.states.values import decode, encode, is_plain, tensors_in
from study.pruning.training.fingerprint import Fingerprint
from study.pruning.training.model_state import copy_state, make_room
from study.pruning.training.steps import Segment
from study.pruning.training.train_state import TrainState
from study.pruning.training.trajectory import Trajectory

SCHEMA_VERSION = 1


def trajectory_to_bytes(trajectory: Trajectory) -> bytes:
    """Write a dense run, finished or not."""
    return _pack(_trajectory_tensors(trajectory), _trajectory_facts(trajectory))


def trajectory_from_bytes(data: bytes) -> Trajectory:
    """Read what :func:`trajectory_to_bytes` wrote.

    Raises
    ------
    UsageError
        If the data are damaged or of a newer version.
    """
    return _trajectory(*_unpack(data))


def progress_to_bytes(progress: Progress) -> bytes:
    """Write where a pipeline stands."""
    tensors = {
        **_state_tensors("state", progress.state),
        **{f"before/{name}": weight for name, weight in progress.before.items()},
        **_trajectory_tensors(progress.trajectory),
    }
    facts = {
        "round": progress.round,
        "segment": dataclasses.asdict(progress.segment),
        "steps_done": progress.steps_done,
        "requested": dict(progress.requested),
        "spent": dataclasses.asdict(progress.spent),
        "progress_train_loss": progress.train_loss,
        "measured": progress.measured,
        "record": progress.record,
        **_trajectory_facts(progress.trajectory),
    }
    return _pack(tensors, facts)


def progress_from_bytes(data: bytes) -> Progress:
    """Read what :func:`progress_to_bytes` wrote.

    Raises
    ------
    UsageError
        If the data are damaged or of a newer version.
    """
    tensors, facts = _unpack(data)
    return Progress(
        round=facts["round"],
        segment=Segment(**facts["segment"]),
        steps_done=facts["steps_done"],
        state=_state("state", tensors),
        before=_below("before/", tensors),
        requested=facts["requested"],
        trajectory=_trajectory(tensors, facts),
        spent=Spent(**facts["spent"]),
        train_loss=facts["progress_train_loss"],
        measured=facts["measured"],
        record=facts.get("record"),
    )


def weights_to_bytes(masked: MaskedLayers, facts: Mapping[str, Any]) -> bytes:
    """Write a round's weights as ``model.NAME`` and masks as ``mask.LAYER``, for any reader."""
    masks = {f"mask.{layer}": mask.cpu() for layer, mask in masked.masks.items()}
    mask_names = _mask_names(masked)
    state = {
        name: value
        for name, value in copy_state(masked.model).items()
        if name not in mask_names and value is not None
    }
    buffers = [name for name, _ in masked.model.named_buffers() if name in state]
    weights = {f"model.{name}": value for name, value in state.items()}
    return _pack({**weights, **masks}, {**facts, "buffers": buffers})


def load_weights(masked: MaskedLayers, data: bytes) -> None:
    """Put what :func:`weights_to_bytes` wrote into a network that is masked nowhere yet.

    Raises
    ------
    UsageError
        If the data are damaged, of a newer version, or of another network.
    """
    values, facts = _unpack(data)
    masks, state = _below("mask.", values), _below("model.", values)
    try:
        if set(masks) != set(masked.masks):
            raise UsageError(f"its masked layers are {sorted(masks)}")
        make_room(masked.model, state, facts.get("buffers", ()))
        found = masked.model.load_state_dict(state, strict=False)
        masked.cut(masks, optimizer=None)
    except Exception as error:  # of any kind: the file may say anything
        raise UsageError(f"this state file is not of this network: {error}") from error
    missing = set(found.missing_keys) - _mask_names(masked)
    if missing or found.unexpected_keys:
        differing = sorted({*missing, *found.unexpected_keys})
        raise UsageError(f"this state file is not of this network: {', '.join(differing)} differ")


def _mask_names(masked: MaskedLayers) -> set[str]:
    masks = {id(mask) for mask in masked.buffers}
    state = masked.model.state_dict(keep_vars=True)
    return {name for name, value in state.items() if id(value) in masks}


def _trajectory_tensors(trajectory: Trajectory) -> dict[str, Any]:
    tensors: dict[str, Any] = {}
    for step, state in trajectory.states.items():
        tensors.update(_state_tensors(f"step_{step}", state))
    return tensors


def _trajectory_facts(trajectory: Trajectory) -> dict[str, Any]:
    return {
        "steps": sorted(trajectory.states),
        "train_loss": trajectory.train_loss,
        "wall_s": trajectory.wall_s,
        "origin": None if trajectory.origin is None else dataclasses.asdict(trajectory.origin),
    }


def _trajectory(tensors: Mapping[str, Any], facts: Mapping[str, Any]) -> Trajectory:
    states = {step: _state(f"step_{step}", tensors) for step in facts["steps"]}
    origin = facts.get("origin")
    return Trajectory(
        states,
        facts["train_loss"],
        facts["wall_s"],
        None if origin is None else _fingerprint(origin),
    )


def _fingerprint(facts: Mapping[str, Any]) -> Fingerprint:
    lists = {name: tuple(value) for name, value in facts.items() if isinstance(value, list)}
    return Fingerprint(**{**facts, **lists})


def _state_tensors(prefix: str, state: TrainState) -> dict[str, Any]:
    return {
        **{f"{prefix}/model/{name}": value for name, value in state.model.items()},
        **{f"{prefix}/optimizer/{name}": value for name, value in state.optimizer.items()},
    }


def _state(prefix: str, tensors: Mapping[str, Any]) -> TrainState:
    return TrainState(_below(f"{prefix}/model/", tensors), _below(f"{prefix}/optimizer/", tensors))


def _below(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _pack(values: Mapping[str, Any], facts: Mapping[str, Any]) -> bytes:
    tensors = {name: value for name, value in values.items() if is_plain(value)}
    encoded = {
        name: encode(name, value, tensors) for name, value in values.items() if not is_plain(value)
    }
    # Tensors that are the same object in two states (a shared start) are written twice.
    separate = {name: value.contiguous().clone() for name, value in tensors.items()}
    document = json.dumps({"schema_version": SCHEMA_VERSION, "encoded": encoded, **facts})
    return save(separate, metadata={"prune_study": document})


def _unpack(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        facts = json.loads(header["__metadata__"]["prune_study"])
        tensors = load(data)
    except Exception as error:
        raise UsageError(f"this state file is damaged: {error}") from error
    if facts["schema_version"] > SCHEMA_VERSION:
        raise UsageError(
            f"this state file has schema version {facts['schema_version']}, and this program "
            f"reads up to {SCHEMA_VERSION}. Update prune-study."
        )
    encoded = facts.pop("encoded", {})
    parts = {part for value in encoded.values() for part in tensors_in(value)}
    values = {name: value for name, value in tensors.items() if name not in parts}
    values.update({name: decode(value, tensors) for name, value in encoded.items()})
    return values, facts
