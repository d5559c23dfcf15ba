"""Training: data, networks, one training run, many of them side by side, and the search over them."""
