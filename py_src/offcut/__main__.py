"""`python -m offcut` is the command `offcut`."""

import sys

from offcut.cli import main

sys.exit(main())
