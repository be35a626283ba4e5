"""The short name of `python -m reporting.score`: measuring is here, the table that it prints is of `reporting`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("reporting.score", run_name="__main__", alter_sys=True)
