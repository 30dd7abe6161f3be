"""What ``explain`` returns, and how it is written, printed and drawn.

``explanation`` builds on ``batches`` (several batches as one), ``descriptions`` (settings and targets in words),
``frame`` (tables as pandas frames), ``files`` (reading and writing), ``gap`` (how much of the score attributions miss),
``group_values`` (features of several elements) and ``match_inputs`` (which input a map belongs to).
"""
