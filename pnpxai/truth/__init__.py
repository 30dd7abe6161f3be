"""Problems whose evidence is known, and rules of choosing an explainer judged on them.

``problem`` says what a problem is and trains its net; ``draws`` and ``nets`` make them, ``families`` lists them.
``candidates`` explain, ``benchmark`` compares them as a user does, ``regrets`` says what each way of choosing lost.
"""
