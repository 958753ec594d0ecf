"""What each message does: one file per family of messages.

A handler takes a :class:`~pyxfrm.engine.request.Request`. It either does the whole thing or raises
:class:`~pyxfrm.engine.refusal.Refusal` with nothing done; ACKs are not its business.
"""
