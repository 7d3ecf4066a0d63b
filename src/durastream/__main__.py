"""The entry point. A recorded run is started before anything slow is imported: the agent must not wait for us."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    words = sys.argv[1:]
    if words[:1] == ["run"]:
        from durastream.cli.launch import read_words

        request = read_words(words[1:])
        if request is not None:
            from durastream.errors import DurastreamError

            try:
                from durastream.cli.foreground import run

                code = run(request)
            except DurastreamError as error:
                sys.stderr.write(f"durastream: {error}\n")
                code = error.exit_code
            sys.exit(code)
    from durastream.cli.app import main as app_main

    sys.exit(app_main(words))


if __name__ == "__main__":
    main()
