"""The command line: one file per command, and what they share.

`options` what several commands take · `running` from a program to an exit code ·
`signals` Ctrl-C. Whatever is slow to import is imported by the command that needs
it, when it runs: `trickle --help` should not wait for an HTTP client.
"""
