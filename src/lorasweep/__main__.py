"""python -m lorasweep."""

from lorasweep.cli.main import main

main()
