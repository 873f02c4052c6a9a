"""checkov over everything in k8s/: each failure is explained here, and no explanation is idle.

checkov needs other versions than our constraints: `.ci/checkov` makes an environment for it.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.manifests import COMPONENTS, K8S, OVERLAYS, ROOT, overlay, rendered

CHECKOV = ROOT / ".cache/checkov/bin/checkov"
EVERYWHERE = {"all", *OVERLAYS}

# check -> where it fails, and why that is meant
EXPLAINED = {
    "CKV_K8S_11": (EVERYWHERE, "a limit on the CPU throttles, and what it throttles is latency"),
    "CKV_K8S_15": ({"all", "dev"}, "a tag is a version and never moves; a laptop has it loaded"),
    "CKV_K8S_21": ({"all"}, "base and components go into the namespace of whoever applies them"),
    "CKV_K8S_35": (EVERYWHERE, "the clouds' own variables are how obstore reads credentials"),
    "CKV_K8S_40": (EVERYWHERE, "the images' own user is 10001; OpenShift refuses a number here"),
    "CKV_K8S_43": ({"all", "dev"}, "no digest before the images are built; prod has its place"),
}


@pytest.mark.skipif(not CHECKOV.exists(), reason=".ci/checkov has not been run here")
def test_checkov_fails_as_explained(tmp_path: Path) -> None:
    """With every check that it has, and no internet."""
    folders = {name: rendered(K8S / "overlays" / name) for name in OVERLAYS}
    folders["all"] = overlay(*COMPONENTS)
    judged = tmp_path / "judged"
    judged.mkdir()
    for name, manifests in folders.items():
        (judged / f"{name}.yaml").write_text(yaml.safe_dump_all(manifests.values()))
    options = ["--framework", "kubernetes", "--skip-download", "--quiet", "--output", "json"]
    done = subprocess.run(
        [str(CHECKOV), *options, "--directory", str(judged)],
        cwd=tmp_path,  # where there is no configuration that could switch a check off
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 500
    found: dict[str, set[str]] = {}
    for check in report["results"]["failed_checks"]:
        found.setdefault(check["check_id"], set()).add(Path(check["file_path"]).stem)
    assert found == {check: where for check, (where, _) in EXPLAINED.items()}
