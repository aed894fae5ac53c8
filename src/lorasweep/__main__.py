"""python -m lorasweep."""

from lorasweep.cli import main

main()
