"""What a program holds: photos and labels as data to train on, estimators of scikit-learn."""
