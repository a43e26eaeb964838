"""Quality, measured: metrics of masks and mattes, and their means over a folder of photos."""
