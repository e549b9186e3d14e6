"""Tests of the training maths: published vectors, borders, and laws that hold for any samples."""
