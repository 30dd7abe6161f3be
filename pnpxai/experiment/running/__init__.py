"""How a comparison runs: ``comparison`` plans it, ``batches`` reads the data, ``chunks`` cuts the data into tasks.

``work`` does a task, here or in a worker of ``workers``; ``devices`` is an executor with a process for each device.
"""
