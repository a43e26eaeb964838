"""Fuzzing of everything that reads bytes from outside.

    python3 build.py test -- -m fuzz                            100,000 executions of each target
    .venv/bin/python -m tests.fuzz TARGET [--runs N] [--seconds N]

targets.py has a function for each reader: any bytes must end in a value or in an OffcutError,
within a second and without much memory. What a run finds is put into findings/TARGET/, where
test_fuzz.py keeps it from coming back.
"""
