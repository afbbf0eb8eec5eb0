"""The anomaly model: features of a user's window, their score, the model file, its training, and drift."""
