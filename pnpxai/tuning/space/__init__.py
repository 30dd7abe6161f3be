"""What is searched: ``parameters`` turns the declared settings of one explainer into parameters of Optuna.

``space`` builds on it: the settings of one or several explainers together with their post-processing.
"""
