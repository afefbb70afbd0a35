"""What comes in: samples, labels and weights, checked and brought into one form."""
