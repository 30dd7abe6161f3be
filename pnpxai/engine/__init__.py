"""How a model is run: every difficulty of running it is met here once, and no algorithm above knows of it.

``running`` holds the model as a score, its places, passes that fit, and the loan of it; ``seeing`` watches and
replaces the operations that it computes; ``speed`` lays pictures out and remembers rows. No value depends on it.
"""
