"""``xfrm demo``: what pyxfrm is about, in three parts that need no root. Every number is measured while it runs, and sentences follow the numbers.

1. A tunnel moves while packets flow through it: two ends on loopback, a stream in each direction, and a look at every packet.
2. The engine answers as Linux does: recorded conversations of a key manager with real kernels are replayed.
3. A Child SA moves in three ways: message by message, what each of them keeps and loses.

===================  =====================================================================
file                 what it is about
===================  =====================================================================
command              the command line, the parts, the exit status
paper                titles, paragraphs, tables
flow                 part 1: played, shown, told
moves                its script: what is done to the tunnel, and how
scene                its stage: two ends, two streams, an account of every packet
nat, sockets, watch  its props: a NAT, free ports, an onlooker at the wire
account              what became of every packet, as values
feed, view           what goes on now, and the process that draws it
picture, page        the same as figures, and as an HTML page
words                what terminal and page both say
replays              part 2
ways, child          part 3: as text, and the Child SA itself
===================  =====================================================================
"""
