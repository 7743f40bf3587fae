"""`python -m core`: the same Studio as the app, without a browser."""

from core.cli.main import app

if __name__ == "__main__":
    app(prog_name="python -m core")
