"""The parts of the doctor: each looks at one side of the trail as it lies in the database. They change nothing.

``audit/doctor.py`` puts them together.
"""
