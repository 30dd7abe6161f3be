"""Speed without a change of values: each file compares before it trusts a short cut.

``layout`` lays pictures out as convolutions compute fastest; ``row_cache`` runs equal rows once.
"""
