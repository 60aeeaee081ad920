"""
pip as one file that starts as quickly as may be: `pack_pip.py TARGET` packs the distribution's wheel of it anew, compiled, uncompressed
and with the same bytes each time.
"""

import glob
import os
import sys
import sysconfig
import zipfile
from importlib._bootstrap_external import _code_to_hash_pyc

# Debian's, and where every other distribution's ensurepip has it.
DIRECTORIES = ("/usr/share/python-wheels", os.path.join(sysconfig.get_path("stdlib"), "ensurepip", "_bundled"))
PLACE = "/berth/builder/pip.zip"


def main(target):
    wheels = [wheel for directory in DIRECTORIES for wheel in sorted(glob.glob(f"{directory}/pip-*.whl"))]
    if not wheels:
        sys.exit(f"pip is missing: {' and '.join(DIRECTORIES)} have no wheel of it. Install Debian's package python3-pip-whl.")
    with zipfile.ZipFile(wheels[-1]) as wheel, zipfile.ZipFile(target, "w") as packed:
        for name in sorted(wheel.namelist()):
            if not name.endswith("/"):
                packed.writestr(zipfile.ZipInfo(name + ("c" if is_compiled(name) else "")), content(name, wheel.read(name)))


def is_compiled(name):
    # The program that runs a package's own build is started as a file, outside of the zip.
    return name.endswith(".py") and not name.endswith("/_in_process.py")


def content(name, data):
    if not is_compiled(name):
        return data
    code = compile(data, f"{PLACE}/{name}", "exec", dont_inherit=True)
    return _code_to_hash_pyc(code, bytes(8), False)


main(*sys.argv[1:])
