"""What agents ask for, and what attackers ask for: data that runs against the rules and against the whole server.

``IMAGE`` stands for an image that exists, ``ROOT`` for a directory that may be mounted. Before a hostile example runs,
``hostile.LINKS`` are made below ``ROOT``, and ``hostile.PROTECTED`` is made and named as the server's own.
"""
