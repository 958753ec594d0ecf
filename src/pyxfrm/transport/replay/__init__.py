"""Recorded conversations run against the engine, every byte of every answer compared.

The engine takes the kernel's place: it is fed the recorded requests, and what it sends must be what was recorded, in order, nothing missing and
nothing extra. What an engine cannot know, because only packets, chance, a clock or another program decided it, is read from the recording *before* the request
and handed to the engine as an input. An input must be plausible (a counter never falls, an SPI is in its range), or the file is refused;
it is counted by kind; and nothing is left out of the comparison.

``steps``    a recording as a list of requests with their answers, and of what the kernel said unasked
``clock``    the kernel's clock, worked out from the seconds that it wrote down
``inputs``   which inputs a step needs, and whether they are plausible
``session``  the run: engines, comparison, report
"""
