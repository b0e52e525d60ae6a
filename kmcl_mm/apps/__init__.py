"""Programs over a data set or a trained model. The plugin works without this folder."""
