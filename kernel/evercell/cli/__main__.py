"""`python -m evercell.cli`."""

from evercell.cli import main

if __name__ == "__main__":
    main()
