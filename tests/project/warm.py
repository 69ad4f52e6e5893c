"""A process that has imported the packages of commands, and forks a process for each command.

Their imports take most of the time of commands that train on a small table. Nothing of fastmlp is
imported beforehand: what a command imports of it, and how, is as in any other process.
"""

import contextlib
import json
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

# Sends its arguments, its folder, its environment and its streams, and ends as the command does.
CLIENT = """
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    started = {"argv": sys.argv[2:], "folder": os.getcwd(), "environment": dict(os.environ)}
    socket.send_fds(server, [json.dumps(started).encode() + b"\\n"], [0, 1, 2])
    answers = server.makefile()
    process = int(answers.readline())
    signal.signal(signal.SIGTERM, lambda number, frame: os.kill(process, number))
    sys.exit(int(answers.readline()))
"""


@contextlib.contextmanager
def warm(script, folder):
    """Write a program into a folder that does what a script of Python does, in such a process."""
    place, program = folder / "socket", folder / Path(script).name
    (folder / "client.py").write_text(CLIENT)
    command = f'exec "{sys.executable}" -IS "{folder / "client.py"}" "{place}" "{script}" "$@"'
    program.write_text(f"#!/bin/sh\n{command}\n")
    program.chmod(0o755)
    # Threads of BLAS would not be there in a process that is forked.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    server = [sys.executable, __file__, str(place)]
    with subprocess.Popen(server, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


def _started(connection):
    """What a client sends, and its streams."""
    message, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not message.endswith(b"\n"):
        message += connection.recv(1 << 20)
    return json.loads(message), streams


def _serve(place):
    """Return in a new process for each command, which is to run it, and never in this one."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place)
        server.listen()
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                break
            connection.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
    started, streams = _started(connection)
    process = os.fork()
    if process:
        for stream in streams:
            os.close(stream)
        connection.sendall(b"%d\n" % process)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        connection.sendall(b"%d\n" % (code if code >= 0 else 128 - code))
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    return started


if __name__ == "__main__":
    import pandas  # noqa: F401
    import sklearn.model_selection  # noqa: F401
    import skops.io  # noqa: F401

    found = _serve(sys.argv[1])
    os.chdir(found["folder"])
    os.environ.clear()
    os.environ.update(found["environment"])
    sys.argv[:] = found["argv"]
    runpy.run_path(sys.argv[0], run_name="__main__")
