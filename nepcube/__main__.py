"""``python -m nepcube`` and the command: a stop is tidy from the first import to the last word."""

import os
import sys

from nepcube.execute.signals import Stopped, stopping


def main() -> None:
    """Run the command line and exit with its code."""
    with stopping(last=True):
        try:
            from nepcube import cli

            cli.main()
        except Stopped as stop:
            # before the command line was there, or after it had done its work
            sys.stderr.write(f"{stop.words}\n")
            _leave(stop.exit_code)
        except SystemExit as end:
            if end.code in _STOPS:
                _leave(end.code)
            raise


_STOPS = (130, 143)


def _leave(code: int) -> None:
    # what a stop broke off may still be at work on other threads, under which an interpreter cannot be taken down;
    # nothing that they do is of use any more, and all that is to be kept is written
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
