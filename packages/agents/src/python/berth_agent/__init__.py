"""What runs in a Python sandbox: it takes frames from the worker, and runs one version's handler."""
