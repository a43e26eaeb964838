"""Images in and out: files, resampling, alpha refinement, composition, PNG.

Only files.py needs Pillow.
"""
