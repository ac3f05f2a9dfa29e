"""The program that runs inside the sandbox: load one model, predict or explain with it, write one answer file.

Nothing here is trusted by the service: a hostile model shares this process and can write any answer it likes.
Nothing of the service can be imported from here, because nothing of it exists inside.
"""
