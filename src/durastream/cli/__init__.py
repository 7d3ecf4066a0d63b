"""The command line: a command parses, calls, prints and exits. Import `app` for all of it."""
