"""Make every shipped model again from its card: the source weights, converted and quantized."""
