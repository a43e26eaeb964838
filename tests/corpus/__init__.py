"""Files that a photo's way in is tried with: made here, or Pillow's own test images."""
