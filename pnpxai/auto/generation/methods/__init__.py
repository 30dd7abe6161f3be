"""Methods that explain a response: each gives a value for each unit of the response and each player.

``base`` says what a method is; ``gradients`` holds those of one backward pass for each unit of the response,
``removals`` those that make units absent, ``surrogate`` the sparse linear model of ContextCite, ``controls`` what any
method has to beat.
"""
