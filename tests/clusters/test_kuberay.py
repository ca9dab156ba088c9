"""The manifest: valid by KubeRay's own schema, and what it says of storage, secrets and workers."""

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from study.clusters.kuberay import KubeRayJob, _key, manifest
from study.clusters.launch import plan_launch

SCHEMA = Path(
    os.environ.get(
        "RAYJOB_SCHEMA",
        Path(__file__).parents[3] / "shared" / "kuberay" / "rayjob-schema.json",
    )
)


def closed(schema: Any) -> Any:
    """A schema in which a field that it does not know is an error."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(part) for key, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get(
        "x-kubernetes-preserve-unknown-fields"
    ):
        inner.setdefault("additionalProperties", False)
    return inner


def rendered(tmp_path: Path, job: KubeRayJob, place: str, *changes: str) -> list[dict[str, Any]]:
    """The documents of a manifest of a study with a module of its own."""
    (tmp_path / "parts").mkdir(exist_ok=True)
    (tmp_path / "own.py").write_text("from parts.helper import task\n")
    (tmp_path / "parts" / "helper.py").write_text("# ü: 'quoted' \\ and\n\ttab\n")
    (tmp_path / "own.toml").write_text(
        '[study]\nname = "My_Study"\n[task]\nobject = "own:task"\n', encoding="utf-8"
    )
    plan = plan_launch(str(tmp_path / "own.toml"), changes, storage_path=place)
    return [*yaml.safe_load_all(manifest(plan, job))]


ALL = KubeRayJob("image", secret="bucket", service_account="me", gpus=2, spot="a.io/spot=true",
                 namespace="team", workers=(2, 8))  # fmt: skip
LEAST = KubeRayJob("image", claim="studies")


@pytest.mark.skipif(not SCHEMA.is_file(), reason="KubeRay's schema of a RayJob is not here")
@pytest.mark.parametrize(("job", "place"), [(ALL, "s3://bucket/studies"), (LEAST, "/studies")])
def test_it_is_valid_by_kuberays_own_schema(tmp_path: Path, job: KubeRayJob, place: str) -> None:
    schema = jsonschema.Draft202012Validator(closed(json.loads(SCHEMA.read_text())))
    ray_job = rendered(tmp_path, job, place)[-1]
    schema.validate(ray_job)
    ray_job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]["volume"] = []
    with pytest.raises(jsonschema.ValidationError, match="volume"):
        schema.validate(ray_job)


def test_the_study_and_its_modules_are_in_every_pod_byte_by_byte(tmp_path: Path) -> None:
    config_map, ray_job = rendered(tmp_path, LEAST, "/studies")
    cluster = ray_job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], cluster["workerGroupSpecs"][0]):
        spec = group["template"]["spec"]
        (volume,) = (each for each in spec["volumes"] if "configMap" in each)
        assert volume["configMap"]["name"] == config_map["metadata"]["name"]
        for item in volume["configMap"]["items"]:
            there = config_map["data"][item["key"]]
            assert there == (tmp_path / item["path"]).read_text(encoding="utf-8")
        paths = {item["path"] for item in volume["configMap"]["items"]}
        assert paths == {"own.py", "own.toml", "parts/helper.py"}
    assert "run-or-resume /study/own.toml --name My_Study" in ray_job["spec"]["entrypoint"]
    assert ray_job["metadata"]["name"] == "my-study"


def test_two_files_have_never_one_key() -> None:
    assert len({_key(Path(name)) for name in ("a/b.py", "a_b.py", "a.b.py", "a_2f_b.py")}) == 4


def test_storage_outlives_the_cluster_and_a_failure_is_resumed(tmp_path: Path) -> None:
    spec = rendered(tmp_path, LEAST, "/studies")[-1]["spec"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["backoffLimit"] == 3
    (head,) = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"]
    assert {"name": "studies", "mountPath": "/studies"} in head["volumeMounts"]
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}


def test_secrets_are_named_and_never_written(tmp_path: Path) -> None:
    spec = rendered(tmp_path, ALL, "s3://bucket/studies")[-1]["spec"]["rayClusterSpec"]
    for group in (spec["headGroupSpec"], spec["workerGroupSpecs"][0]):
        (container,) = group["template"]["spec"]["containers"]
        for variable in container["env"]:
            assert set(variable) == {"name", "valueFrom"}
            assert variable["valueFrom"]["secretKeyRef"]["name"] == "bucket"
        required = {
            variable["name"]
            for variable in container["env"]
            if not variable["valueFrom"]["secretKeyRef"].get("optional")
        }
        assert required == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_workers_may_be_spot_nodes_and_the_head_is_not(tmp_path: Path) -> None:
    spec = rendered(tmp_path, ALL, "s3://bucket/studies")[-1]["spec"]["rayClusterSpec"]
    assert spec["enableInTreeAutoscaling"] is True
    (workers,) = spec["workerGroupSpecs"]
    assert (workers["minReplicas"], workers["maxReplicas"]) == (2, 8)
    pod = workers["template"]["spec"]
    assert pod["nodeSelector"] == {"a.io/spot": "true"}
    assert pod["tolerations"][0]["key"] == "a.io/spot"
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    head = spec["headGroupSpec"]
    assert "nodeSelector" not in head["template"]["spec"]
    assert head["rayStartParams"] == {"num-cpus": "0"}


@pytest.mark.parametrize(
    ("changes", "room"),
    [
        ((), 8 * 8),
        (("resources.gpus_per_trial=0.5",), 8 * 4),
        (("resources.cpus_per_trial=4",), 8 * 2),
        (("resources.max_concurrent=5",), 5),
    ],
)
def test_the_cluster_is_asked_to_grow_to_as_many_trials_as_fit_on_it(
    tmp_path: Path, changes: tuple[str, ...], room: int
) -> None:
    ray_job = rendered(tmp_path, ALL, "s3://bucket/studies", *changes)[-1]
    assert ray_job["spec"]["entrypoint"].endswith(f"--room-for {room}")
    assert "--wait-for-nodes 3 " in ray_job["spec"]["entrypoint"]
