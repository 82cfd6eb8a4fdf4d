"""``python -m unveil`` and ``accelerate launch -m unveil``."""

import sys

from unveil.cli import main

if __name__ == "__main__":
    sys.exit(main())
