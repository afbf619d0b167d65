"""A terminal without a window: runs a command in a pty, and lets pyte draw what it prints.

Usage: pyte_terminal.py COLUMNS ROWS COMMAND...

Reads commands as lines of JSON: {"write": TEXT}, {"paste": TEXT}, {"resize": [COLUMNS, ROWS]}.
Prints the screen as a line of JSON whenever it has changed.
"""

import codecs
import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios

import pyte

BRACKETED_PASTE = 2004 << 5  # pyte shifts private modes


class Screen(pyte.Screen):
    def write_process_input(self, data):
        os.write(master, data.encode())


def set_size(columns, rows):
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def obey(command):
    if "write" in command:
        os.write(master, command["write"].encode())
    elif "paste" in command:
        text = command["paste"].replace("\n", "\r")
        if BRACKETED_PASTE in screen.mode:
            text = "\x1b[200~" + text + "\x1b[201~"
        os.write(master, text.encode())
    else:
        columns, rows = command["resize"]
        screen.resize(rows, columns)
        set_size(columns, rows)


def show():
    cursor = screen.cursor
    column = min(cursor.x, screen.columns - 1)
    chars = [char for row in screen.buffer.values() for char in row.values()]
    state = {
        "rows": screen.display,
        "cursor": None if cursor.hidden else {"row": cursor.y, "column": column},
        "hasColor": any(char.fg != "default" for char in chars),
    }
    print(json.dumps(state), flush=True)


columns, rows = int(sys.argv[1]), int(sys.argv[2])
pid, master = pty.fork()
if pid == 0:
    os.execvpe(sys.argv[3], sys.argv[3:], {**os.environ, "TERM": "linux"})
screen = Screen(columns, rows)
set_size(columns, rows)
stream = pyte.Stream(screen)
decoder = codecs.getincrementaldecoder("utf-8")("replace")
typed = b""
while True:
    ready, _, _ = select.select([master, sys.stdin], [], [])
    if master in ready:
        try:
            printed = os.read(master, 1 << 16)
        except OSError:  # the shell has ended
            break
        stream.feed(decoder.decode(printed))
        if not select.select([master], [], [], 0)[0]:
            show()
    if sys.stdin in ready:
        read = os.read(0, 1 << 16)
        if read == b"":
            break
        *lines, typed = (typed + read).split(b"\n")
        for line in lines:
            obey(json.loads(line))
        show()
