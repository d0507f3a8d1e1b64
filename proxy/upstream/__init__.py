"""An upstream index over HTTP: pages with validators, files as streams, no host that the config does not name.

client      what `ports.Upstream` asks for, in time, and tried again where that may help
answers     what an answer must be, and what its headers tell
wire        connections, redirects hop by hop, credentials
"""

from proxy.upstream.client import HttpUpstream

__all__ = ["HttpUpstream"]
