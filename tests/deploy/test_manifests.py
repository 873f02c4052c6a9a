"""k8s/: rendered as a whole and piece by piece, valid, and compared with the code."""

import functools
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from packaging.version import Version

from grokprobe.settings import PREFIX, Settings, read_settings
from service import health
from service.http.routing import ANYBODY
from tests.support.manifests import (
    COMPONENTS,
    K8S,
    OVERLAYS,
    ROOT,
    Manifest,
    Manifests,
    container,
    labels,
    mounts,
    ours,
    overlay,
    pod,
    rendered,
    with_pods,
)

SCHEMAS = {
    path.stem: json.loads(path.read_text())
    for path in (Path(__file__).parent / "schemas").glob("*.json")
}
OLDEST = "1.30"  # the first Kubernetes that has preStop.sleep without a switch
VERSIONS = [
    version
    for version in kubernetes_validate.utils.all_versions()
    if Version(version) >= Version(OLDEST)
]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
IMAGES = {
    "grokprobe-service-cpu": "service",
    "grokprobe-service": "service",
    "grokprobe-trainer": "trainer",
    "grokprobe-trainer-cpu": "trainer",
}
PROBES = {"startup": health.livez, "liveness": health.livez, "readiness": health.readyz}
ZEROS = f"sha256:{'0' * 64}"


def folders() -> dict[str, tuple[str, ...]]:
    """What is tried: the base, the base with each component, with all, and the overlays."""
    single = {f"base + {name}": (name,) for name in COMPONENTS}
    return {"base": (), **single, "base + all": tuple(COMPONENTS)}


@pytest.fixture(params=[*folders(), *OVERLAYS])
def manifests(request: pytest.FixtureRequest) -> Manifests:
    """One of them, rendered."""
    if request.param in OVERLAYS:
        return rendered(K8S / "overlays" / request.param)
    return overlay(*folders()[request.param])


@pytest.fixture
def everything() -> Manifests:
    """The base with every component."""
    return overlay(*COMPONENTS)


@pytest.fixture
def base() -> Manifests:
    """The base alone."""
    return rendered(K8S / "base")


def settings_of(manifests: Manifests) -> dict[str, str]:
    """What every program is told."""
    return dict(manifests["ConfigMap/grokprobe-settings"]["data"])


# -- each folder -----------------------------------------------------------------------------------


@functools.cache  # most objects are alike in all folders
def check_accepted(text: str) -> None:
    """Raise for an object, as JSON, that some version would not accept."""
    one = json.loads(text)
    if one["kind"] in SCHEMAS:
        jsonschema.validate(one, SCHEMAS[one["kind"]], jsonschema.Draft202012Validator)
        return
    for version in VERSIONS:
        kubernetes_validate.validate(one, version, strict=True)


def test_every_kind_accepts_every_document(manifests: Manifests) -> None:
    """No field is misspelt or of the wrong type, from the oldest version to the newest."""
    assert VERSIONS[0].startswith(f"{OLDEST}.")
    assert len(VERSIONS) >= 8
    for one in manifests.values():
        check_accepted(json.dumps(one))


def test_a_misspelt_field_is_found(everything: Manifests) -> None:
    """Of custom kinds too: their schemas name every field."""
    kinds = {one["kind"]: one for one in everything.values()}
    assert SCHEMAS.keys() <= kinds.keys()
    for kind, schema in SCHEMAS.items():
        kinds[kind]["spec"]["mispelt"] = 1
        with pytest.raises(jsonschema.ValidationError, match="mispelt"):
            jsonschema.validate(kinds[kind], schema)


def test_every_file_is_one_object_of_some_folder() -> None:
    """Each YAML file is named by its kustomization, and holds one document."""
    for kustomization in K8S.rglob("kustomization.yaml"):
        text = kustomization.read_text()
        for path in kustomization.parent.glob("*.*"):
            if path != kustomization:
                assert re.search(rf"\b{re.escape(path.name)}$", text, re.MULTILINE), path
                assert path.suffix != ".yaml" or "\n---" not in path.read_text(), path


def test_a_namespace_is_the_overlays_alone(manifests: Manifests) -> None:
    """Base and components go wherever they are put; an overlay puts all into its own."""
    places = {one["metadata"].get("namespace") for one in manifests.values()}
    made = [name for name in manifests if name.startswith("Namespace/")]
    if made:
        assert places == {None, made[0].removeprefix("Namespace/")}
        assert manifests[made[0]]["metadata"]["labels"] == {
            "pod-security.kubernetes.io/enforce": "restricted"
        }
    else:
        assert places == {None}


def test_every_object_says_whose_it_is(manifests: Manifests) -> None:
    """By the labels that Kubernetes recommends; pods too."""
    for name, one in manifests.items():
        if one["kind"] != "Namespace":
            found = one["metadata"]["labels"]
            assert found["app.kubernetes.io/instance"] == "grokprobe", name
            assert found["app.kubernetes.io/name"] in ("grokprobe", "redis", "s3"), name
    for name, one in with_pods(manifests).items():
        assert one["metadata"]["labels"].items() <= labels(one).items(), name


def test_every_reference_leads_somewhere(manifests: Manifests) -> None:
    """Accounts, settings, files, Services, Deployments: named as they are; secrets are yours."""
    named = {
        "ServiceAccount": {pod(one).get("serviceAccountName") for one in ours(manifests).values()},
        "ConfigMap": {
            part["configMapRef"]["name"]
            for one in ours(manifests).values()
            for part in container(one)["envFrom"]
            if "configMapRef" in part
        },
        "Service": set(_backends(manifests)),
        "Deployment": {
            one["spec"]["scaleTargetRef"]["name"]
            for one in manifests.values()
            if one["kind"] == "HorizontalPodAutoscaler"
        },
    }
    missing = {f"{kind}/{name}" for kind, names in named.items() for name in names}
    assert missing - manifests.keys() == set()


def _backends(manifests: Manifests) -> list[str]:
    """The Services that routes from the outside lead to."""
    found = []
    for one in manifests.values():
        if one["kind"] == "Ingress":
            paths = [path for rule in one["spec"]["rules"] for path in rule["http"]["paths"]]
            found += [path["backend"]["service"]["name"] for path in paths]
        if one["kind"] == "HTTPRoute":
            found += [ref["name"] for rule in one["spec"]["rules"] for ref in rule["backendRefs"]]
    return found


def test_the_settings_are_accepted(manifests: Manifests) -> None:
    """Every name is a setting, every value can be used, and no pod keeps what it publishes."""
    data = settings_of(manifests)
    assert not [name for name in data if not name.startswith(PREFIX)]
    settings = read_settings(data)
    assert settings.host == "0.0.0.0"
    assert settings.store_url.startswith("s3://")
    assert settings.redis_url.startswith(("redis://", "rediss://"))
    assert bool(settings.api_keys_file) != settings.allow_anonymous


def test_a_pod_is_told_by_name_only(manifests: Manifests) -> None:
    """The settings, then a secret, which wins: no value and no secret stands in a pod of ours.

    Who writes has another secret than who reads.
    """
    for name, one in ours(manifests).items():
        program = container(one)
        reads = name == "Deployment/grokprobe"
        secret = f"grokprobe-{'' if reads else 'trainer-'}credentials"
        assert program["envFrom"] == [
            {"configMapRef": {"name": "grokprobe-settings"}},
            {"secretRef": {"name": secret, "optional": True}},
        ]
        assert "env" not in program


def test_a_pod_is_locked_down(manifests: Manifests) -> None:
    """No service links, no token, no root, no capability, nothing writable but its home."""
    for one in with_pods(manifests).values():
        spec, program = pod(one), container(one)
        assert spec["enableServiceLinks"] is spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert program["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert program["resources"]["limits"]["memory"]
        assert program["resources"]["requests"].keys() == {"cpu", "memory"}
    for one in ours(manifests).values():
        writable = [mount for mount in mounts(one) if not mount.get("readOnly")]
        assert writable == [{"name": "home", "mountPath": "/data"}]
        assert {"name": "home", "emptyDir": {}} in pod(one)["volumes"]
    assert all(f"{name}=/data" in DOCKERFILE for name in ("HOME", "TMPDIR", "GROKPROBE_HOME"))


DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_a_pod_runs_its_image(manifests: Manifests) -> None:
    """Each its own name, so that an overlay sets one; the tag is the version, or a digest."""
    for name, one in ours(manifests).items():
        image = container(one)["image"].rpartition("/")[2]
        image, _, digest = image.partition("@")
        known, _, tag = image.partition(":")
        program = "trainer" if name.startswith("Job/") else "service"
        assert IMAGES[known] == program
        assert tag == VERSION or digest == ZEROS
        assert ("command" in container(one)) == (one["kind"] == "CronJob")  # else the image's own


def test_no_image_moves(manifests: Manifests) -> None:
    """Those of others too are named by a whole version."""
    for one in with_pods(manifests).values():
        assert re.search(r":\d+\.\d+\.\d+$|@sha256:[0-9a-f]{64}$", container(one)["image"])


# -- who reaches whom ------------------------------------------------------------------------------


def selects(selector: Manifest, of: dict[str, str]) -> bool:
    """Whether a pod with these labels is meant."""
    wanted: dict[str, str] = selector.get("matchLabels", selector)
    return wanted.items() <= of.items()


def test_the_service_finds_the_right_pods(manifests: Manifests) -> None:
    """Each Service sends to a named port of one kind of pods, and to no others."""
    for name, one in manifests.items():
        if one["kind"] == "Service":
            found = {
                key
                for key, made in with_pods(manifests).items()
                if selects(one["spec"]["selector"], labels(made))
            }
            assert found == {f"Deployment/{name.removeprefix('Service/')}"}
            [port], [there] = one["spec"]["ports"], container(manifests[found.pop()])["ports"]
            assert port["targetPort"] == there["name"]


def test_who_may_reach_whom(manifests: Manifests) -> None:
    """Every pod has a policy for either direction; what is let in goes to ports that are there."""
    policies = [one["spec"] for one in manifests.values() if one["kind"] == "NetworkPolicy"]
    for name, made in with_pods(manifests).items():
        mine = [spec for spec in policies if selects(spec["podSelector"], labels(made))]
        assert {kind for spec in mine for kind in spec["policyTypes"]} == {"Ingress", "Egress"}
        there = {port["name"] for port in container(made).get("ports", [])}
        rules = [rule for spec in mine for rule in spec.get("ingress", [])]
        assert all(rule["from"] for rule in rules)
        let_in = {port["port"] for rule in rules for port in rule["ports"]}
        assert let_in <= there, name
    service = manifests["NetworkPolicy/grokprobe-service"]["spec"]
    assert [port["port"] for port in service["ingress"][0]["ports"]] == ["http"]


def test_programs_reach_what_the_settings_name(manifests: Manifests) -> None:
    """The ports of Redis and object storage are open, to outside or to a pod of ours."""
    settings = read_settings(settings_of(manifests))
    policies = [one["spec"] for one in manifests.values() if one["kind"] == "NetworkPolicy"]
    for made in ours(manifests).values():
        mine = [spec for spec in policies if selects(spec["podSelector"], labels(made))]
        rules = [rule for spec in mine for rule in spec.get("egress", [])]
        anywhere = {port["port"] for rule in rules if "to" not in rule for port in rule["ports"]}
        assert anywhere == {53, 443, int(re.findall(r":(\d+)/", settings.redis_url)[0])}
        to_pods = {port["port"] for rule in rules if "to" in rule for port in rule["ports"]}
        assert bool(settings.s3_endpoint) == ("s3" in to_pods)


@pytest.mark.parametrize("name", ["redis", "s3"])
def test_what_is_tried_out_is_where_the_settings_look(everything: Manifests, name: str) -> None:
    """Name and port of the Service are those of the settings; the bucket is made."""
    settings = read_settings(settings_of(everything))
    service = everything[f"Service/grokprobe-{name}"]["spec"]["ports"][0]
    url = settings.redis_url if name == "redis" else settings.s3_endpoint
    assert f"//grokprobe-{name}:{service['port']}" in url
    program = container(everything[f"Deployment/grokprobe-{name}"])
    assert [port["containerPort"] for port in program["ports"]] == [service["port"]]
    if name == "s3":
        made = program["lifecycle"]["postStart"]["exec"]["command"][-1]
        bucket = settings.store_url.removeprefix("s3://")
        assert f"http://127.0.0.1:{service['port']}/{bucket}" in made


# -- the service -----------------------------------------------------------------------------------


@pytest.fixture
def deployment(base: Manifests) -> Manifest:
    """The service's."""
    return base["Deployment/grokprobe"]


def test_the_port_is_the_services_own(deployment: Manifest) -> None:
    """The container's port is what an unset GROKPROBE_PORT means, and has a name."""
    assert container(deployment)["ports"] == [{"name": "http", "containerPort": Settings().port}]
    assert f"EXPOSE {Settings().port}\n" in DOCKERFILE


def test_the_probes_ask_routes(deployment: Manifest) -> None:
    """Each asks a handler's own path, on the named port, with time for a silent dependency."""
    program = container(deployment)
    for probe, handler in PROBES.items():
        asked = program[f"{probe}Probe"]["httpGet"]
        assert {asked["path"]} == handler.paths
        assert asked["port"] == "http"
        assert handler.opt == ANYBODY
    assert program["readinessProbe"]["timeoutSeconds"] > health.ANSWER_S


def test_the_service_asks_for_keys(base: Manifests, deployment: Manifest) -> None:
    """They come from a secret that must be there, mounted where the settings look for the file."""
    file = Path(read_settings(settings_of(base)).api_keys_file)
    paths = {mount["mountPath"]: mount["name"] for mount in mounts(deployment)}
    volumes = {volume["name"]: volume for volume in pod(deployment)["volumes"]}
    assert volumes[paths[str(file.parent)]]["secret"] == {"secretName": "grokprobe-api-keys"}
    documented = (ROOT / "docs/kubernetes.md").read_text()
    assert f"grokprobe-api-keys --from-file={file.name}" in documented


def test_the_caches_fit_into_the_memory(manifests: Manifests) -> None:
    """The limit leaves as much again for the program, and all that may draw pictures beside it."""
    settings = read_settings(settings_of(manifests))
    limit = container(manifests["Deployment/grokprobe"])["resources"]["limits"]["memory"]
    beside = settings.renderer_memory_bytes
    assert int(limit.removesuffix("Mi")) * 2**20 >= 2 * settings.session_cache_bytes + beside


def test_a_pod_may_go_and_the_service_stays(deployment: Manifest, base: Manifests) -> None:
    """Two, on different nodes where there are two; one at a time goes, by a drain or a rollout."""
    spec = deployment["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    spread = pod(deployment)["topologySpreadConstraints"]
    assert [one["topologyKey"].rpartition("/")[2] for one in spread] == ["hostname", "zone"]
    assert all(selects(one["labelSelector"], labels(deployment)) for one in spread)
    budget = base["PodDisruptionBudget/grokprobe"]["spec"]
    assert budget["maxUnavailable"] == 1
    covered = [
        name for name, m in with_pods(base).items() if selects(budget["selector"], labels(m))
    ]
    assert covered == ["Deployment/grokprobe"]


def test_who_scales_sets_the_number() -> None:
    """With an autoscaler no file does: each `apply` would set it back."""
    found = overlay("autoscaling")
    assert "replicas" not in found["Deployment/grokprobe"]["spec"]
    spec = found["HorizontalPodAutoscaler/grokprobe"]["spec"]
    assert spec["minReplicas"] == 2 < spec["maxReplicas"]
    assert "cpu" in container(found["Deployment/grokprobe"])["resources"]["requests"]


def test_the_outside_meets_tls_and_the_services_limit(everything: Manifests) -> None:
    """Both routes lead to its port by TLS; bodies as large as it takes, answers without end."""
    ingress = everything["Ingress/grokprobe"]
    [rule], [tls] = ingress["spec"]["rules"], ingress["spec"]["tls"]
    assert tls["hosts"] == [rule["host"]]
    notes = ingress["metadata"]["annotations"]
    largest = notes["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert int(largest) == Settings().max_body_bytes
    route = everything["HTTPRoute/grokprobe"]["spec"]
    assert [parent["sectionName"] for parent in route["parentRefs"]] == ["https"]
    [port] = everything["Service/grokprobe"]["spec"]["ports"]
    assert [ref["port"] for ref in route["rules"][0]["backendRefs"]] == [port["port"]]
    assert route["rules"][0]["timeouts"] == {"request": "0s"}
    [path] = rule["http"]["paths"]
    assert path["backend"]["service"]["port"] == {"name": port["name"]}


def test_the_index_is_made_anew_each_night(base: Manifests) -> None:
    """By the service's image, one at a time."""
    spec = base["CronJob/grokprobe-reindex"]["spec"]
    assert container(base["CronJob/grokprobe-reindex"])["command"] == [
        "python", "-m", "grokprobe", "reindex",
    ]  # fmt: skip
    assert spec["concurrencyPolicy"] == "Forbid"


# -- overlays --------------------------------------------------------------------------------------


def second(folder: Path) -> Manifests:
    """Another instance, as docs/kubernetes.md makes one."""
    [block] = re.findall(
        r"```yaml\n(# lab/kustomization\.yaml\n.*?)```",
        (ROOT / "docs/kubernetes.md").read_text(),
        re.DOTALL,
    )
    folder.mkdir()
    up = Path(*[".."] * (len(folder.resolve().parts) - 1)) / K8S.relative_to("/")
    (folder / "kustomization.yaml").write_text(block.replace("../k8s/", f"{up}/"))
    return rendered(folder)


def test_two_live_in_one_namespace(tmp_path: Path, everything: Manifests) -> None:
    """They share no name, and no selector of one means a pod or Service of the other."""
    other = second(tmp_path / "lab")
    assert not everything.keys() & other.keys()
    monitored = [name for name in other if name.split("/")[0] in ("ServiceMonitor", "PodMonitor")]
    assert len(monitored) == 2
    for these, those in ((everything, other), (other, everything)):
        objects = [labels(m) for m in with_pods(those).values()]
        objects += [m["metadata"]["labels"] for m in those.values() if m["kind"] == "Service"]
        for name, one in these.items():
            for selector in _selectors(one["spec"]) if "spec" in one else []:
                assert not [found for found in objects if selects(selector, found)], name


def _selectors(node: Any) -> list[Manifest]:
    """Every selector of pods or Services within an object; that of namespaces is none."""
    if isinstance(node, list):
        return [found for item in node for found in _selectors(item)]
    if not isinstance(node, dict):
        return []
    own = [
        value
        for name, value in node.items()
        if name in ("selector", "podSelector", "labelSelector") and isinstance(value, dict)
    ]
    return own + [
        found
        for name, value in node.items()
        if name != "namespaceSelector"
        for found in _selectors(value)
    ]


def test_a_second_instance_is_whole(tmp_path: Path) -> None:
    """What it refers to was renamed with it, and it looks at its own Redis."""
    other = second(tmp_path / "lab")
    test_every_kind_accepts_every_document(other)
    assert container(other["Deployment/grokprobe-lab"])["envFrom"][0] == {
        "configMapRef": {"name": "grokprobe-settings-lab"}
    }
    assert set(_backends(other)) == {"grokprobe-lab"}
    data = other["ConfigMap/grokprobe-settings-lab"]["data"]
    assert "Service/grokprobe-redis-lab" in other
    assert data["GROKPROBE_REDIS_URL"] == "redis://grokprobe-redis-lab:6379/0"
    assert data["GROKPROBE_STORE_URL"] == "s3://grokprobe/lab"
    assert "PrometheusRule/grokprobe-lab" not in other


def test_a_route_of_a_gateway_follows_its_service() -> None:
    """Kustomize is told that it names one."""
    found = overlay("ingress/gateway", suffix="-lab")
    assert _backends(found) == ["grokprobe-lab"]
    assert "Service/grokprobe-lab" in found


def test_dev_needs_nothing_else() -> None:
    """Redis, bucket, service and a training of the quickstart; no GPU, key or secret of yours."""
    found = rendered(K8S / "overlays/dev")
    assert {"Deployment/grokprobe-redis", "Deployment/grokprobe-s3"} <= found.keys()
    job = found["Job/grokprobe-train-quickstart"]
    assert "nvidia.com/gpu" not in container(job)["resources"]["limits"]
    assert container(job)["image"] == f"grokprobe-trainer-cpu:{VERSION}"
    secrets = {
        volume["secret"]["secretName"]
        for one in with_pods(found).values()
        for volume in pod(one).get("volumes", [])
        if "secret" in volume
    }
    assert secrets == set()
    assert not [one for one in found.values() if one["kind"] in SCHEMAS]  # such kinds are not there


def test_prod_is_for_others() -> None:
    """TLS to Redis, keys, logs as JSON, images by digest, autoscaler, monitors; named callers."""
    found = rendered(K8S / "overlays/prod")
    settings = read_settings(settings_of(found))
    assert settings.redis_url.startswith("rediss://")
    assert settings.log_format == "json"
    assert settings.api_keys_file
    for one in ours(found).values():
        assert container(one)["image"].startswith("registry.example.org/grokprobe-service-cpu@")
    kinds = {one["kind"] for one in found.values()}
    assert {"HorizontalPodAutoscaler", "Ingress", "ServiceMonitor", "PrometheusRule"} <= kinds
    [rule] = found["NetworkPolicy/grokprobe-service"]["spec"]["ingress"]
    callers = [peer["namespaceSelector"]["matchLabels"].popitem()[1] for peer in rule["from"]]
    assert callers == ["ingress-nginx", "monitoring"]
