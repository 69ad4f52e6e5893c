"""What makes the inputs of a network of numbers, levels, dates and text, one module for each."""
