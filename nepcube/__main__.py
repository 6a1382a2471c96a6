"""``python -m nepcube``."""

from nepcube.cli import main

if __name__ == "__main__":
    main()
