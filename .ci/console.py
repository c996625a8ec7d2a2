"""Tests garb.exe on a console of Wine: console.py WINE FOLDER.

FOLDER is on Wine's drive C and has garb.exe and t-shirt.jpg. Colours and bars are shown, and Ctrl-C
saves a training. Wine's environment variables are set already.
"""

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import sys
import termios
import time

wine, folder = sys.argv[1:]
columns = 100


def run(*args, interrupt=None):
    """Runs garb.exe on a pseudo-terminal. Once interrupt, a pattern, is shown, it types Ctrl-C."""
    process, screen = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execv(wine, [wine, "garb.exe", *args])
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    shown, deadline = b"", time.monotonic() + 240
    while True:
        ready, _, _ = select.select([screen], [], [], 1)
        if time.monotonic() > deadline:
            sys.exit(f"garb {args[0]} does not end:\n{shown[-2000:]!r}")
        try:
            data = os.read(screen, 1 << 16) if ready else None
        except OSError:  # the other end is closed
            break
        if data == b"":
            break
        shown += data or b""
        if interrupt and re.search(interrupt, shown):
            os.write(screen, b"\x03")
            interrupt = None
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown.decode("utf-8", "replace")


def check(what, holds, shown):
    if not holds:
        sys.exit(f"{what}: no\n{shown[-2000:]!r}")
    print(f"{what}: yes")


code, shown = run("classify", "t-shirt.jpg")
check("colours and blocks", code == 0 and "\x1b[1m" in shown and "t-shirt" in shown and "█" in shown, shown)

for split in "train", "validation":
    for kind in "a", "b":
        os.makedirs(os.path.join(folder, "set", split, kind), exist_ok=True)
        for i in range(6):
            target = os.path.join(folder, "set", split, kind, f"{i}.jpg")
            shutil.copyfile(os.path.join(folder, "t-shirt.jpg"), target)
            with open(target, "ab") as picture:  # after the picture's end
                picture.write(f"{split} {kind} {i}".encode())
code, shown = run("train", "--data", "set", "--out", "run", "--size", "32", "--fine-tune", "3", "--batch", "4",
                  "--epochs", "100000", interrupt=rb"epoch 2/100000 \d / 3 ")
check("a bar that is redrawn", "[==============================]" in shown, shown)
check("Ctrl-C saves the run", code == 130 and "garb train --resume run" in shown and
      os.path.exists(os.path.join(folder, "run", "state.safetensors")), shown)
