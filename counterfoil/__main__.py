"""`python -m counterfoil`: the command line."""

from counterfoil.cli import app

if __name__ == "__main__":
    app(prog_name="counterfoil")
