"""``python -m nepcube`` and the command: a stop is tidy from the first import to the last word."""

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
            sys.exit(stop.exit_code)


if __name__ == "__main__":
    main()
