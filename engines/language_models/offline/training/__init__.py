"""What the offline engine's classifiers are trained on, and the program that trains them."""
