"""Problems whose evidence is known, and rules of choosing an explainer judged on them.

``problem`` says what a problem is and trains its net; ``draws`` and ``nets`` make them, ``families`` lists them.
``candidates`` explain, ``choosing`` chooses among them without knowing the truth, ``benchmark`` says what was lost.
"""
