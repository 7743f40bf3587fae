"""`python -m core`: the same Studio as the app, without a browser."""

from core.threads import share_cores

if __name__ == "__main__":
    share_cores()  # before anything imports torch

    from core.cli.main import app

    app(prog_name="python -m core")
