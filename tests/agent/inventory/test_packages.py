"""Packages are found as the package managers themselves list them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tocsin.agent.inventory.item import Item
from tocsin.agent.inventory.languages import language_packages
from tocsin.agent.inventory.packages import apk_packages, distribution_packages, dpkg_packages, rpm_packages

APK = """C:Q1aaaa=
P:musl
V:1.2.4-r2
A:x86_64
o:musl
L:MIT

P:libcrypto3
V:3.1.4-r5
A:x86_64
o:openssl
L:Apache-2.0
F:lib
R:libcrypto.so.3
"""
SPEC = """
Name: hello-tocsin
Version: 1.4
Release: 2
Epoch: 1
Summary: A test
License: MIT
BuildArch: noarch
%description
A test.
%files
"""


def _told(items: list[Item]) -> set[tuple[object, ...]]:
    names = ("name", "version", "architecture")
    return {tuple(item.values.get(f"package.{name}", "") for name in names) for item in items}


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="not a Debian")
def test_dpkg_has_what_dpkg_query_lists() -> None:
    """Every installed package with its version, architecture, source and the source's version, and no other."""
    form = r"${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n"
    listed = subprocess.run(["dpkg-query", "-W", "-f", form], capture_output=True, text=True, check=True).stdout
    installed = {tuple(line.split("\t")[1:]) for line in listed.splitlines() if line.startswith("installed\t")}
    names = [f"package.{name}" for name in ("name", "version", "architecture")]
    names += ["unmapped.inventory.source", "unmapped.inventory.source_version"]
    found = {tuple(item.values.get(name, "") for name in names) for item in dpkg_packages(Path("/"), "debian")}
    assert found == installed
    assert len(found) > 50


def test_an_image_without_dpkg_has_a_file_for_each_package(tmp_path: Path) -> None:
    """What distroless images leave in status.d is read as well."""
    folder = tmp_path / "var/lib/dpkg/status.d"
    folder.mkdir(parents=True)
    (folder / "tzdata").write_text("Package: tzdata\nVersion: 2024a-0+deb12u1\nArchitecture: all\n")
    (item,) = distribution_packages(tmp_path, "debian")
    assert item.values["package.purl"] == "pkg:deb/debian/tzdata@2024a-0%2Bdeb12u1?arch=all"


def test_apk_has_package_source_and_license(tmp_path: Path) -> None:
    """The installed database of apk, whose files and checksums are passed over."""
    (tmp_path / "lib/apk/db").mkdir(parents=True)
    (tmp_path / "lib/apk/db/installed").write_text(APK)
    items = list(apk_packages(tmp_path, "alpine"))
    assert _told(items) == {("musl", "1.2.4-r2", "x86_64"), ("libcrypto3", "3.1.4-r5", "x86_64")}
    assert [item.values["unmapped.inventory.source"] for item in items] == ["musl", "openssl"]
    assert items[1].values["package.license"] == "Apache-2.0"


@pytest.mark.slow
@pytest.mark.root
def test_rpm_has_epoch_version_and_source(tmp_path: Path) -> None:
    """A package that rpm itself has put into a database of its own."""
    (tmp_path / "hello.spec").write_text(SPEC)
    top = ["--define", f"_topdir {tmp_path}/build"]
    subprocess.run(["rpmbuild", *top, "-bb", tmp_path / "hello.spec"], capture_output=True, check=True)
    (rpm,) = tmp_path.rglob("*.noarch.rpm")
    root = tmp_path / "root"
    root.mkdir()
    put = ["rpm", "--root", root, "--dbpath", "/var/lib/rpm", "--justdb", "--nodeps", "--install", rpm]
    subprocess.run([str(word) for word in put], capture_output=True, check=True)
    (item,) = rpm_packages(root, "fedora")
    assert _told([item]) == {("hello-tocsin", "1:1.4-2", "noarch")}
    assert item.values["unmapped.inventory.source"] == "hello-tocsin"
    assert item.values["unmapped.inventory.source_version"] == "1.4-2"


def test_python_packages_are_those_that_pip_lists() -> None:
    """What is installed where these tests run."""
    folder = sysconfig.get_path("purelib")
    code = "import json, importlib.metadata as m; print(json.dumps([[d.name, d.version] for d in m.distributions()]))"
    environment = {**os.environ, "PYTHONPATH": ""}
    command = [sys.executable, "-I", "-c", code]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    found = {(item.values["package.name"], item.values["package.version"]) for item in language_packages([folder])}
    assert {tuple(each) for each in json.loads(listed)} <= found


def test_node_and_ruby_packages_are_found(tmp_path: Path) -> None:
    """A module of Node and a gem, where their installers put them; a broken file is passed over."""
    modules = tmp_path / "app/node_modules"
    for name, text in (("left-pad", '{"name":"left-pad","version":"1.3.0"}'), ("broken", "{")):
        (modules / name).mkdir(parents=True)
        (modules / name / "package.json").write_text(text)
    gems = tmp_path / "gems/specifications"
    gems.mkdir(parents=True)
    (gems / "rack-test-2.1.0.gemspec").write_text("Gem::Specification.new")
    (tmp_path / "package.json").write_text('{"name":"the-app","version":"0"}')
    found = {item.values["package.purl"] for item in language_packages([str(tmp_path)])}
    assert found == {"pkg:npm/left-pad@1.3.0", "pkg:gem/rack-test@2.1.0"}
