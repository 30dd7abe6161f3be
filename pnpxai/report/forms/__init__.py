"""The forms in which a page draws one input of an example and its maps.

``base`` says what a form is; ``pictures``, ``series``, ``columns``, ``words`` and ``graphs`` hold one form each;
``choice`` takes the form that suits an input.
"""
