"""The client against `ip` and against C, on one kernel in one run: see `python -m benchmarks.client --help`.

``same.c``     sends datagrams that the library made, as a C program would: the least that a user of netlink can need
``work``       the policies, the files of the two programs, and the ways
``measure``    rounds in which every way takes its turn; runs where the kernel is
``__main__``   goes where the kernels are, prints the tables
``startup``    `xfrm state list` as a process
"""
