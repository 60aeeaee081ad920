"""
Compiles every Python file below a directory, and runs none: `check_python.py DIRECTORY ENTRY ROOT`. Prints what is wrong,
and whether ENTRY has a handler, as JSON. Bytecode goes into `__pycache__` beside each file, as if the file were below ROOT.
"""

import csv
import importlib.util
import json
import os
import symtable
import sys
import warnings
from importlib._bootstrap_external import _code_to_hash_pyc

MOST_DIAGNOSTICS = 100
MESSAGE_CHARS = 1000
LINE_CHARS = 240


def main(directory, entry, root):
    paths = sorted(python_files(directory))
    installed = installed_files(directory)
    found = []
    for path in paths:
        # What pip installed holds files that aren't for this Python, now and then: they matter once they are imported.
        found += check(directory, path, root, "warning" if path in installed else "error")
    has_handler = not any(one["severity"] == "error" for one in found) and binds_handler(directory, entry)
    json.dump({"diagnostics": found[:MOST_DIAGNOSTICS], "hasHandler": has_handler}, sys.stdout)


def python_files(directory):
    for parent, _, names in os.walk(directory):
        for name in names:
            if name.endswith(".py"):
                yield os.path.relpath(os.path.join(parent, name), directory)


def installed_files(directory):
    """Paths that a `*.dist-info/RECORD` at the top names."""
    paths = set()
    for name in os.listdir(directory):
        record = os.path.join(directory, name, "RECORD")
        if name.endswith(".dist-info") and os.path.isfile(record):
            paths.update(paths_in(record))
    return paths


def paths_in(record):
    with open(record, encoding="utf-8", errors="replace", newline="") as lines:
        try:
            return [row[0] for row in csv.reader(lines) if row]
        except csv.Error:
            # No list of anything: its files are held to what all others are.
            return []


def check(directory, path, root, severity):
    file = os.path.join(directory, path)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            code = compile(read(file), os.path.join(root, path), "exec", dont_inherit=True)
        except SyntaxError as error:
            return [diagnostic(severity, path, error.msg, error.lineno, error.offset, error.text)]
        except Exception as error:
            # A NUL, an encoding that there is none of, a nesting that is too deep: each is of another class.
            return [diagnostic(severity, path, f"it can't be compiled: {str(error) or type(error).__name__}")]
    # Unchecked: whoever has the layer has both of them, and neither changes.
    bytecode = importlib.util.cache_from_source(file)
    os.makedirs(os.path.dirname(bytecode), exist_ok=True)
    with open(bytecode, "wb") as target:
        target.write(_code_to_hash_pyc(code, bytes(8), False))
    return [diagnostic("warning", path, str(one.message), one.lineno) for one in warned]


def binds_handler(directory, entry):
    """Whether the module gives the name a value, wherever at its top level; a star import may."""
    source = read(os.path.join(directory, entry))
    names = symtable.symtable(source, entry, "exec")
    if "handler" in names.get_identifiers():
        symbol = names.lookup("handler")
        if symbol.is_assigned() or symbol.is_imported():
            return True
    return b"import *" in source


def diagnostic(severity, path, message, line=None, column=None, text=None):
    places = {"line": line, "column": column, "lineText": None if text is None else text.rstrip("\n")[:LINE_CHARS]}
    # Of what it can't place Python says line 0, or column -1.
    known = {name: value for name, value in places.items() if value is not None and (isinstance(value, str) or value > 0)}
    return {"severity": severity, "message": message[:MESSAGE_CHARS], "file": path, **known}


def read(file):
    with open(file, "rb") as source:
        return source.read()


main(*sys.argv[1:])
