"""`python -m tocsin.cli`: how the supervisor starts its children."""

import sys

from tocsin.cli.app import main

sys.exit(main())
