"""One declaration of a setting gives its signature, checks, search range, text and JSON.

``declared`` makes a class of it, with the ``marks`` of its fields; ``encoding`` writes and reads values, ``messages``
words what is refused, ``registry`` finds classes by what they are, ``counts`` checks numbers, ``text_columns`` prints.
"""
