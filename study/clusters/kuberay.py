"""A manifest for KubeRay: a RayJob with workers that come and go, and the files of its study."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import yaml

from study.clusters.launch import Launch, as_shell, check_room
from study.errors import UsageError
from study.tuning.ray.packing import modules_beside, refuse_large

FILES_AT = "/study"
"""Where the study file and its modules are in every container."""

MOST_KB = 900
"""Of these files: Kubernetes keeps no ConfigMap above 1 MiB."""

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": False,
    "AWS_SECRET_ACCESS_KEY": False,
    "AWS_SESSION_TOKEN": True,
    "AWS_ENDPOINT_URL": True,
    "AWS_DEFAULT_REGION": True,
}
"""Keys of a secret for an object store, which are the names of its variables too, and whether one
may be missing."""

WAIT_S = 600
"""Seconds in which the first worker has to be up: an image of several gigabytes is pulled."""


@dataclass(frozen=True)
class KubeRayJob:
    """What is asked of Kubernetes.

    Parameters
    ----------
    image
        With Ray, this package, and what the task imports.
    claim
        A PersistentVolumeClaim (ReadWriteMany) that is mounted at the storage path.
    secret
        Its keys are variables of the environment, see :data:`CREDENTIALS`.
    service_account
        Of the pods, where that is what a bucket asks for.
    workers
        The least and the most.
    cpus, gpus, memory
        Of each worker.
    spot
        ``label=value`` of the nodes for workers, which is tolerated as a taint too.
    retries
        Times that the job is begun anew on a fresh cluster after a failure; it resumes.
    namespace
        None: the one that ``kubectl`` is set to.
    """

    image: str
    claim: str | None = None
    secret: str | None = None
    service_account: str | None = None
    workers: tuple[int, int] = (1, 4)
    cpus: int = 8
    gpus: int = 0
    memory: str = "16Gi"
    spot: str | None = None
    retries: int = 3
    namespace: str | None = None


def manifest(launch: Launch, job: KubeRayJob) -> str:
    """Write the manifest for ``kubectl apply``.

    Raises
    ------
    UsageError
        If a worker is too small for a trial, no storage outlives the pods, or the study's own
        files are too large.
    """
    least, most = job.workers
    if not 1 <= least <= most:
        raise UsageError(
            f"--workers: {least} to {most}. At least 1 is needed, on which the study is rehearsed, "
            "and the most must not be less."
        )
    room = most * check_room(launch, job.cpus, job.gpus, machine="worker")
    room = min(room, launch.config.resources.max_concurrent or room)
    _check_storage(launch, job)
    own_files = _files(launch)
    study = None if launch.file is None else f"{FILES_AT}/{launch.file.name}"
    waits = ["--wait-for-nodes", str(1 + least), "--wait-limit", f"{WAIT_S}s"]
    command = launch.command(study, *waits, "--room-for", str(room))
    metadata = {} if job.namespace is None else {"namespace": job.namespace}
    ray_job = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {**metadata, "name": launch.short_name()},
        "spec": {
            "entrypoint": as_shell(command),
            "shutdownAfterJobFinishes": True,
            "backoffLimit": job.retries,
            "submitterConfig": {"backoffLimit": 0},
            "rayClusterSpec": _cluster(launch, job, bool(own_files)),
        },
    }
    documents = [ray_job]
    if own_files:
        name = _files_name(launch)
        config_map = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {**metadata, "name": name},
            "data": {_key(path): text for path, text in own_files.items()},
        }
        documents.insert(0, config_map)
    head = "# Written by `prune-study launch --backend kuberay`.\n"
    return head + yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and the same part twice instead of a reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _text)


def _cluster(launch: Launch, job: KubeRayJob, has_files: bool) -> dict[str, Any]:
    least, most = job.workers
    workers = _resources(job.cpus, job.memory, job.gpus)
    return {
        "rayVersion": ray.__version__,
        "authOptions": {"mode": "token"},
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {"version": "v2", "idleTimeoutSeconds": 300},
        "headGroupSpec": {
            # No trial runs beside the driver: what a trial does can't end the study.
            "rayStartParams": {"num-cpus": "0"},
            "template": _pod(launch, job, "ray-head", _resources(2, "8Gi", 0), has_files, None),
        },
        "workerGroupSpecs": [
            {
                "groupName": "trials",
                "replicas": least,
                "minReplicas": least,
                "maxReplicas": most,
                "rayStartParams": {},
                "template": _pod(launch, job, "ray-worker", workers, has_files, job.spot),
            }
        ],
    }


def _pod(
    launch: Launch,
    job: KubeRayJob,
    name: str,
    resources: dict[str, Any],
    has_files: bool,
    spot: str | None,
) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []
    if job.claim is not None:
        volumes.append({"name": "studies", "persistentVolumeClaim": {"claimName": job.claim}})
        mounts.append({"name": "studies", "mountPath": launch.storage_path})
    if has_files:
        items = [{"key": _key(path), "path": str(path)} for path in _files(launch)]
        config_map = {"name": _files_name(launch), "items": items}
        volumes.append({"name": "study-files", "configMap": config_map})
        mounts.append({"name": "study-files", "mountPath": FILES_AT, "readOnly": True})
    container = {
        "name": name,
        "image": job.image,
        "resources": resources,
        **({"env": _credentials(job.secret)} if job.secret else {}),
        **({"volumeMounts": mounts} if mounts else {}),
    }
    spec: dict[str, Any] = {
        "restartPolicy": "Never",  # the autoscaler replaces pods
        **({"serviceAccountName": job.service_account} if job.service_account else {}),
        **_placement(spot),
        "containers": [container],
        **({"volumes": volumes} if volumes else {}),
    }
    return {"spec": spec}


def _placement(spot: str | None) -> dict[str, Any]:
    if spot is None:
        return {}
    label, equals, value = spot.partition("=")
    if not (label and equals and value):
        raise UsageError(
            f"--spot: {spot!r} is no label of nodes; write cloud.google.com/gke-spot=true, or the "
            "one that your nodes have."
        )
    taint = {"key": label, "operator": "Equal", "value": value, "effect": "NoSchedule"}
    return {"nodeSelector": {label: value}, "tolerations": [taint]}


def _resources(cpus: int, memory: str, gpus: int) -> dict[str, Any]:
    has = {"cpu": str(cpus), "memory": memory}
    if gpus:
        has["nvidia.com/gpu"] = str(gpus)
    return {"requests": has, "limits": dict(has)}


def _credentials(secret: str) -> list[dict[str, Any]]:
    """Variables by reference: no value of a secret is in the manifest."""
    return [
        {
            "name": key,
            "valueFrom": {
                "secretKeyRef": {
                    "name": secret,
                    "key": key,
                    **({"optional": True} if may_miss else {}),
                }
            },
        }
        for key, may_miss in CREDENTIALS.items()
    ]


def _check_storage(launch: Launch, job: KubeRayJob) -> None:
    if launch.is_remote and job.claim is not None:
        raise UsageError(
            f"--pvc: a claim is mounted at a path, and study.storage_path is "
            f"{launch.storage_path!r}. Give one of the two."
        )
    if not launch.is_remote and job.claim is None:
        raise UsageError(
            f"study.storage_path: {launch.storage_path!r} is a folder, and would be gone with its "
            "pod. Name a PersistentVolumeClaim that is mounted there with --pvc, or give a URI."
        )
    if re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", job.claim or job.secret or "name") is None:
        raise UsageError(
            f"--pvc, --secret: {job.claim or job.secret!r} is no name of Kubernetes: lower-case "
            "letters, digits, '-' and '.'."
        )


def _files(launch: Launch) -> dict[Path, str]:
    """The study file and its modules, by their place below the study file's folder."""
    file = launch.file
    if file is None:
        return {}
    own = modules_beside(file)
    remedy = "Build the modules into the image, and keep the study file in a folder of its own."
    refuse_large(file.parent, own, MOST_KB * 1000, remedy)
    try:
        return {path: (file.parent / path).read_text(encoding="utf-8") for path in own}
    except UnicodeDecodeError as error:
        raise UsageError(f"{file.parent}: a module that is no UTF-8: {error}") from error


def _files_name(launch: Launch) -> str:
    return f"{launch.short_name()}-files"


def _key(path: Path) -> str:
    """Of a file in a ConfigMap, which knows no folders; other characters are written out."""
    return re.sub(r"[^-A-Za-z0-9.]", lambda found: f"_{ord(found.group()):x}_", str(path))
