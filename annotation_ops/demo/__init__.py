"""The closed loop on real images, end to end: `annotation-ops demo`."""
