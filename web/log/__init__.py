"""The log as files: checkpoints, tiles, entry bundles and proofs in the C2SP formats, for tools we did not write."""
