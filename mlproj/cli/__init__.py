"""The command line: parse, call a flow, show what came back."""
