"""What build.py does, one module a task: standard library only, never part of the wheel."""
