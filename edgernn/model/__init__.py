"""What a quantized network is: frozen records; no file, no arithmetic, no state."""
