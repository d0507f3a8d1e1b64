"""pypi-sidecar: a private Python index and a caching proxy of PyPI in one small server."""

__version__ = "0.1.0"
