"""What goes over the wire, as pure code: bytes and values, no I/O and no clock.

`names` the fixed words · `sequence` seqs, relative ones too · `http1` the codec
· `requests` and `responses` the meaning of what the codec delivers.
Server and client both speak through this package, so they cannot drift apart.
"""
