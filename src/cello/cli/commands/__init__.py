"""The commands, one a file, thin: each module holds a click command called `command`.

What a command needs is imported when it runs. `cello.cli` names them in the order of the help.
"""
