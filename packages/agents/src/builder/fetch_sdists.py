"""
Fetches source distributions, and runs none: `fetch_sdists.py PIP INDEX DIRECTORY` takes requirements, one a line, from its standard
input. The newest file that fits each and this Python is put into the directory, once its bytes are those of its hash. It prints, as JSON, what they say
they are built with, in the form of requirements; or `error`, a sentence about a package.
"""

import hashlib
import html.parser
import json
import os
import sys
import tarfile
import tomllib
import urllib.error
import urllib.parse
import urllib.request
import zipfile

sys.path.insert(0, sys.argv[1])

from pip._vendor.packaging.requirements import InvalidRequirement, Requirement  # noqa: E402
from pip._vendor.packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: E402
from pip._vendor.packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename  # noqa: E402

PYTHON = ".".join(str(part) for part in sys.version_info[:3])
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
PYPROJECT_BYTES = 1024 * 1024
# What PEP 518 says of one that says nothing.
STANDARD = ["setuptools>=40.8.0", "wheel"]


class Refused(Exception):
    """Why a package can't be built from its source, in a sentence."""


class Links(html.parser.HTMLParser):
    """PEP 503's page of a project."""

    def __init__(self):
        super().__init__()
        self.files = []

    def handle_starttag(self, tag, attributes):
        said = dict(attributes)
        href = said.get("href") if tag == "a" else None
        if href is not None:
            url, _, fragment = href.partition("#")
            self.files.append(
                {
                    "filename": urllib.parse.unquote(url.rpartition("/")[2]),
                    "url": url,
                    "hashes": dict([fragment.split("=", 1)]) if "=" in fragment else {},
                    "requires-python": said.get("data-requires-python"),
                    "yanked": "data-yanked" in said,
                }
            )


def files_of(name, index):
    page = urllib.parse.urljoin(index, f"{name}/")
    try:
        with urllib.request.urlopen(urllib.request.Request(page, headers={"accept": ACCEPT})) as answer:
            text, kind = answer.read().decode(), answer.headers.get_content_type()
    except urllib.error.HTTPError as error:
        raise Refused(f"the index has no {name} (it answered {error.code})") from error
    if kind.endswith("json"):
        files = json.loads(text)["files"]
    else:
        links = Links()
        links.feed(text)
        files = links.files
    return [{**file, "url": urllib.parse.urljoin(page, file["url"])} for file in files]


def is_for_this_python(file):
    """As pip has it: what can't be read asks for nothing."""
    try:
        return SpecifierSet(file.get("requires-python") or "").contains(PYTHON, prereleases=True)
    except InvalidSpecifier:
        return True


def pins(requirement):
    """Whether it names one version: that may be one that was yanked (PEP 592)."""
    return any(each.operator in ("==", "===") and not each.version.endswith(".*") for each in requirement.specifier)


def newest(requirement, files):
    found = []
    for file in files:
        try:
            name, version = parse_sdist_filename(file["filename"])
        except InvalidSdistFilename:
            continue
        if name == canonicalize_name(requirement.name) and (pins(requirement) or not file.get("yanked")):
            found.append((version, file))
    unfit = {version for version, file in found if not is_for_this_python(file)}
    found = [each for each in found if each[0] not in unfit]
    fitting = set(requirement.specifier.filter(version for version, _ in found))
    fit = [each for each in found if each[0] in fitting]
    if not fit:
        others = ", ".join(sorted(str(version) for version, _ in found)) or "none"
        if unfit:
            others += f"; not for Python {PYTHON}: {', '.join(str(version) for version in sorted(unfit))}"
        raise Refused(f"the index has no source distribution that fits {requirement} (those of {requirement.name}: {others})")
    return max(fit, key=lambda each: each[0])[1]


def fetch(file, hashes, directory):
    if "/" in file["filename"] or file["filename"].startswith("."):
        raise Refused(f"{json.dumps(file['filename'])} is no file's name")
    with urllib.request.urlopen(file["url"]) as answer:
        data = answer.read()
    own = [f"{kind}:{value}" for kind, value in file.get("hashes", {}).items() if kind in ("sha256", "sha384", "sha512")]
    for wanted in (hashes, own):
        if wanted and not any(hashlib.new(each.split(":")[0], data).hexdigest() == each.split(":")[1] for each in wanted):
            raise Refused(f"the bytes of {file['filename']} aren't those that its hash says")
    path = os.path.join(directory, file["filename"])
    with open(path, "wb") as target:
        target.write(data)
    return path


def pyproject(path):
    """The bytes of pyproject.toml, which stands in the archive's one directory."""
    if path.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename.count("/") == 1 and info.filename.endswith("/pyproject.toml") and info.file_size <= PYPROJECT_BYTES:
                    return archive.read(info)
        return b""
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and member.name.count("/") == 1 and member.name.endswith("/pyproject.toml") and member.size <= PYPROJECT_BYTES:
                return archive.extractfile(member).read()
    return b""


def built_with(path):
    file = os.path.basename(path)
    try:
        system = tomllib.loads(pyproject(path).decode()).get("build-system", {})
        lines = system.get("requires", []) if "build-backend" in system else [*STANDARD, *system.get("requires", [])]
        requirements = [Requirement(line) for line in lines]
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise Refused(f"{file} can't be unpacked: {error}") from error
    except (ValueError, TypeError, AttributeError, InvalidRequirement) as error:
        raise Refused(f"pyproject.toml of {file} can't be read: {error}") from error
    leads_away = [str(each) for each in requirements if each.url is not None]
    if leads_away:
        raise Refused(f"{file} is built with {leads_away[0]}: packages come from the index, by name and version")
    return [str(each) for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]


def main(index, directory):
    needed = set()
    for line in sys.stdin.read().splitlines():
        text, *hashes = line.split(" --hash=")
        requirement = Requirement(text)
        file = newest(requirement, files_of(canonicalize_name(requirement.name), index))
        needed.update(built_with(fetch(file, hashes, directory)))
    return {"needed": sorted(needed)}


try:
    print(json.dumps(main(*sys.argv[2:])))
except Refused as refusal:
    print(json.dumps({"error": str(refusal)}))
