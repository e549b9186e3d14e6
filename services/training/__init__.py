"""What a workout's numbers mean: samples, zones, load, energy, recovery and the summary made of them.

Everything here is arithmetic on values; no clock, no waiting, no storage. Start with `sample.py`, then
`exposure.py`.
"""
