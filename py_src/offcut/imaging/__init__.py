"""Images in and out: reading, resampling, alpha refinement, composition, PNG. numpy only; Pillow optional."""
