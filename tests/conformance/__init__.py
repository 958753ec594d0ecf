"""One suite for every lane: each case is written once and runs on engines and on kernels, byte for byte alike."""
