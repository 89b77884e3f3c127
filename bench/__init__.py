"""What Trickle costs, held against what the machine takes for the same bytes.

`python -m bench` measures, `scripts/bench` makes the environment first. Each figure is
the median of several rounds, in which ours and its floor take turns, so that what else
the machine does falls on both. See docs/performance.md for how to read them.
"""
