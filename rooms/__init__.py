"""Live meaning: streams of samples, the rooms they feed, and the boards those rooms see."""
