"""Training with PyTorch: pruning with recovery, distillation, quantization-aware fine-tuning."""
