"""`python -m mailferry`."""

from mailferry.cli.main import main

if __name__ == "__main__":
    main()
