"""Packages of the distribution: what dpkg, apk and rpm say is installed.

Sources: dpkg-query(1), apk's installed database, rpm(8). Of rpm the tool itself is asked, as its database has had
three formats.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tocsin.agent.inventory.item import Item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.model.event import Value

__all__ = ["apk_packages", "distribution_packages", "dpkg_packages", "rpm_packages"]

DPKG_STATUS: Final = "var/lib/dpkg/status"
DPKG_STATUS_FOLDER: Final = "var/lib/dpkg/status.d"  # images without dpkg itself have a file for each package
APK_INSTALLED: Final = "lib/apk/db/installed"
RPM_FOLDERS: Final = ("var/lib/rpm", "usr/lib/sysimage/rpm")
RPM_FORMAT: Final = (
    r"%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{ARCH}\t%{SOURCERPM}\t%{VENDOR}\t%{LICENSE}\n"
)
RPM_TIMEOUT_S: Final = 60
OPERATING_SYSTEM: Final = 2
_PATHS: Final = {
    "source": "unmapped.inventory.source",
    "source_version": "unmapped.inventory.source_version",
    "vendor": "package.vendor_name",
    "license": "package.license",
}


def distribution_packages(root: Path, distribution: str) -> list[Item]:
    """All packages of the distribution installed below `root`; `distribution` is the ID of its os-release."""
    return [*dpkg_packages(root, distribution), *apk_packages(root, distribution), *rpm_packages(root, distribution)]


def dpkg_packages(root: Path, distribution: str) -> Iterator[Item]:
    """Packages that dpkg has installed, those removed but for their settings left out."""
    folder = root / DPKG_STATUS_FOLDER
    files = [root / DPKG_STATUS, *(sorted(folder.iterdir()) if folder.is_dir() else ())]
    for fields in (fields for file in files for fields in _paragraphs(file, ": ")):
        state = fields.get("Status", "install ok installed")
        if "Package" not in fields or "Version" not in fields or not state.endswith(" installed"):
            continue
        source, _, version = fields.get("Source", fields["Package"]).partition(" ")
        yield _package(
            "dpkg",
            f"pkg:deb/{distribution}",
            fields["Package"],
            fields["Version"],
            fields.get("Architecture", ""),
            source=source,
            source_version=version.strip("()") or fields["Version"],
        )


def apk_packages(root: Path, distribution: str) -> Iterator[Item]:
    """Packages that apk has installed."""
    for fields in _paragraphs(root / APK_INSTALLED, ":"):
        if "P" in fields and "V" in fields:
            source = fields.get("o", fields["P"])
            purl = f"pkg:apk/{distribution}"
            yield _package(
                "apk",
                purl,
                fields["P"],
                fields["V"],
                fields.get("A", ""),
                source=source,
                source_version=fields["V"],
                license=fields.get("L", ""),
            )


def rpm_packages(root: Path, distribution: str) -> Iterator[Item]:
    """Packages that rpm has installed; none where the tool is missing."""
    tool = shutil.which("rpm")
    database = next((folder for folder in RPM_FOLDERS if (root / folder).is_dir()), None)
    if tool is None or database is None:
        return
    command = [tool, "--root", str(root), "--dbpath", f"/{database}", "--query", "--all", "--queryformat", RPM_FORMAT]
    done = subprocess.run(command, capture_output=True, timeout=RPM_TIMEOUT_S, check=False)  # noqa: S603 - rpm itself
    for line in done.stdout.decode("utf-8", "backslashreplace").splitlines():
        name, version, architecture, source_rpm, vendor, license_ = line.split("\t")
        if name == "gpg-pubkey":  # a key that rpm keeps as if it were a package
            continue
        # name-version-release.src.rpm
        source, _, source_version = source_rpm.removesuffix(".src.rpm").rpartition("-")[0].rpartition("-")
        yield _package(
            "rpm",
            f"pkg:rpm/{distribution}",
            name,
            version,
            architecture,
            source=source or name,
            source_version=f"{source_version}-{version.rpartition('-')[2]}" if source_version else version,
            vendor="" if vendor == "(none)" else vendor,
            license=license_,
        )


def _package(manager: str, purl: str, name: str, version: str, architecture: str, **others: str) -> Item:
    """A package; `others` are further attributes, by the name that ends their path."""
    values: dict[str, Value] = {
        "package.name": name,
        "package.version": version,
        "package.architecture": architecture,
        "package.type": "Operating System",
        "package.type_id": OPERATING_SYSTEM,
        "package.package_manager": manager,
        "package.purl": f"{purl}/{quote(name)}@{quote(version, safe='.')}?arch={architecture}",
    }
    values |= {_PATHS[other]: value for other, value in others.items() if value}
    return Item("package", f"{manager}:{name}:{architecture}", values)


def _paragraphs(file: Path, separator: str) -> Iterator[dict[str, str]]:
    """Blocks of `name: value` lines between empty ones; lines that go on one before are left out."""
    try:
        lines = file.read_text("utf-8", "backslashreplace").split("\n")
    except OSError:
        return
    fields: dict[str, str] = {}
    for line in (*lines, ""):
        if not line:
            if fields:
                yield fields
            fields = {}
        elif line[0] not in " \t":
            name, _, value = line.partition(separator)
            fields[name] = value.strip()
