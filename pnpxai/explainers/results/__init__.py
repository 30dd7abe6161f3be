"""What ``explain`` returns, and how it is written, printed and drawn.

``explanation`` builds on ``descriptions`` (settings and targets in words), ``files`` (reading and writing) and
``match_inputs`` (which input a map belongs to).
"""
