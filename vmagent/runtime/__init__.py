"""What every part of the daemon stands on: tasks, gates, cells, time, files, logs. Knows nothing of the
mesh.
"""
