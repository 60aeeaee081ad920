"""The agent of Python sandboxes: `python3 -I -B <this directory>`. Nothing but the standard library is used."""

import sys

# The function's own modules are all that is looked for beside the standard library's.
from berth_agent.agent import main

sys.path.remove(sys.path[0])
main()
