"""What a person sees on standard error: a live view on a terminal, plain lines
elsewhere. Nothing here ever writes to standard output.

`formats` numbers as text · `views` snapshots as something to show · `talk` the one
who says it and keeps the live view going.
"""
