"""The commands, one function each: it parses, calls, prints and returns its exit code."""
