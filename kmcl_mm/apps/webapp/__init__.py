"""A local web page that predicts the labels of an image and shows similar ones."""
