"""Bytes to values and back: pure, total, with no opinions and no defaults.

The contract:

* every buffer either decodes to a value or raises :class:`pyxfrm.errors.MalformedError`;
* ``encode(decode(b)) == b`` for every buffer that decodes, padding and unknown parts included;
* reading never leaves the buffer it was given, and a length inside it can only make the limits narrower.

``codec``     one structure: size, decode, encode, offsets, from its declaration in :mod:`pyxfrm.abi`
``attrs``     attributes: the raw run of them, and their typed payloads
``netlink``   framing: datagrams into messages; NLMSG_ERROR and NLMSG_DONE
``messages``  whole XFRM messages
``lookup``    attributes by number
``dialogue``  which message answers which
``describe``  the same as text, field by field, with keys hidden
"""
