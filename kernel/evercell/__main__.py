"""`python -m evercell` is the command line."""

from evercell.cli import main

if __name__ == "__main__":
    main()
