"""A page in the browser, on one's own machine: an image in, its labels and similar images out."""
