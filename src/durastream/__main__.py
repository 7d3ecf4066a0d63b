"""The entry point. A recorded run is started before anything slow is imported: the agent must not wait for us."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.platform == "win32":
        sys.stderr.write("durastream: it runs on Linux and macOS; on Windows use it in WSL\n")
        sys.exit(125)
    try:
        from durastream.cli.ending import ended, open_streams

        open_streams()
        words = sys.argv[1:]
        code = ended(lambda: _command(words), debug=_debug(words))
    except KeyboardInterrupt:  # while we were still being imported
        code = 130
    sys.exit(code)


def _command(words: list[str]) -> int:
    if words[:1] == ["run"]:
        from durastream.cli.launch import read_words

        request = read_words(words[1:])
        if request is not None:
            from durastream.cli.foreground import run

            return run(request)
    from durastream.cli.app import main as app_main

    return app_main(words)


def _debug(words: list[str]) -> bool:
    """Whether a traceback is wanted; a `--debug` behind the command's name is not ours."""
    return "--debug" in words[: next((at for at, word in enumerate(words) if not word.startswith("-")), len(words))]


if __name__ == "__main__":
    main()
