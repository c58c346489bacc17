"""The container files: built where a builder is there, else held against what they rest on."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from sf2f_bench.extractors.weights import FOLDER_VARIABLE

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def has_builder() -> bool:
    """Whether a Docker daemon answers."""
    return (
        bool(shutil.which("docker"))
        and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not os.environ.get("SF2F_BENCH_LONG"), reason="takes minutes: set SF2F_BENCH_LONG=1")
@pytest.mark.skipif(not has_builder(), reason="no Docker daemon answers on this machine")
def test_the_image_is_built_and_says_what_it_has():
    subprocess.run(["docker", "build", "-t", "sf2f-bench-test", str(ROOT)], check=True)
    said = subprocess.run(
        ["docker", "run", "--rm", "sf2f-bench-test", "doctor"], capture_output=True, text=True, check=True
    )
    assert "yes: sf2f-bench run" in said.stdout


def test_its_python_and_its_extras_are_those_of_the_package():
    (python,) = re.findall(r"^FROM python:3\.(\d+)-slim$", DOCKERFILE, re.MULTILINE)
    assert f"Programming Language :: Python :: 3.{python}" in PROJECT["classifiers"] or int(python) in (
        11,
        12,
        13,
    )
    (extras,) = re.findall(r'"/src\[(.*)\]"', DOCKERFILE)
    assert extras.split(",") == sorted(PROJECT["optional-dependencies"])
    assert f"{FOLDER_VARIABLE}=/weights" in DOCKERFILE
    assert list(PROJECT["scripts"]) == re.findall(r'ENTRYPOINT \["(.*)"\]', DOCKERFILE)


def test_what_the_package_is_built_from_is_not_left_out():
    patterns = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    needed = ["pyproject.toml", "README.md", "LICENSE", "sf2f_bench", "baselines", "reference_model"]
    assert not [name for name in needed if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    assert all((ROOT / name).exists() for name in needed)


def test_both_services_have_the_folders_and_one_a_gpu():
    cpu, gpu = COMPOSE["services"]["cpu"], COMPOSE["services"]["gpu"]
    for service in (cpu, gpu):
        targets = [volume.rsplit("}:", 1)[1].split(":")[0] for volume in service["volumes"]]
        assert targets == ["/work", "/data", "/weights"]
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert "deploy" not in cpu
