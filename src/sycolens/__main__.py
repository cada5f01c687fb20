"""``python -m sycolens``: the command line, where the ``sycolens`` program is not on the path."""

from sycolens.cli import main

if __name__ == "__main__":
    main()
