"""The quality of the anomaly model beside other methods, on generated data."""
