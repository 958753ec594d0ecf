"""Relocations under real ESP traffic on a real kernel, measured: see `python -m benchmarks.relocation --help`.

``traffic.c``  sends, receives, listens on the wire, and makes the same netlink calls as the library (the baseline)
``scene``      network namespaces, addresses, SAs and policies of each kind of move
``guest``      runs inside the lab's kernel: one measurement
``__main__``   boots the lab, runs the cells of the tables, prints them
"""
