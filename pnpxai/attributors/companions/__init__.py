"""What captum offers beside its methods: families of methods, baselines, embeddings, statistics, whole data sets.

``families`` says which method belongs to which, ``references`` holds baselines that are drawn or made of ids,
``embeddings`` stands in for embedding layers, ``summaries`` adds up statistics of maps batch by batch, and
``data_loader`` attributes a figure of a whole data set.
"""
