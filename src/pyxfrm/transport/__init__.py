"""The only IO for netlink, and what wraps around it.

``recording``  the file format of recorded conversations: read, check, write
"""
