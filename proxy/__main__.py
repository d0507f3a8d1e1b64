"""`python -m proxy` is the command `pypi-sidecar`."""

from proxy.cli import main

main()
