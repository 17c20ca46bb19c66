"""Hostile models by name: the lines of a `predict`, or a whole `main.py`. What one reached stands in `reached`.

`MARK` is in the name of every file they try to make; `SECRETS` are places they try to read, by the test.
"""

HEAD = """import ctypes, errno, gc, glob, json, os, signal, socket, subprocess, sys, threading, time
from slots.tracker import TrackerBase
MARK = 'hostile-mark'
libc = ctypes.CDLL(None, use_errno=True)

def reach(*ways):
    \"\"\"The names of the ways that did not fail.\"\"\"
    reached = []
    for name, way in ways:
        try:
            if (got := way()) is not False:
                reached.append(f'{name}: {got!r:.60}')
        except BaseException:
            pass
    return {'value': 1.0, 'reached': reached}

class Model(TrackerBase):
    def tick(self, data): self.data = data
    def predict(self, asset, horizon, step):
"""
SOCK = "sock = socket.socket(fileno=os.dup(3))\n"  # the one it is not meant to know


def model(predict: str) -> str:
    return HEAD + "".join(f"        {line}\n" for line in predict.strip().splitlines())


# They take what the others need, or never come back.
HOGS = {
    "spins": "while True: pass",
    "sleeps": "time.sleep(60)",
    "ignores_signals": """
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: pass""",
    "fork_bomb": "while True: os.fork()",
    "clone_bomb": "while True: libc.syscall(56, 17, 0, 0, 0, 0)",
    "thread_bomb": "while True: threading.Thread(target=time.sleep, args=(60,)).start()",
    "spinning_threads": """
def spin():
    while True: pass
for _ in range(24):
    try: threading.Thread(target=spin, daemon=True).start()
    except RuntimeError: pass
return {'value': 1.0}""",
    "memory": "hog = []\nwhile True: hog.append(bytearray(10_000_000))",
    "memory_kept": "self.hog = bytearray(400_000_000)\nreturn {'value': 1.0}",
    "shared_memory": "with open('/dev/shm/' + MARK, 'wb') as f:\n    while True: f.write(bytes(1_000_000))",
    "memfd": "f = os.memfd_create('x')\nwhile True: os.write(f, bytes(1_000_000))",
    "pipes": """
held = []
while True:
    r, w = os.pipe()
    os.set_blocking(w, False)
    held.append((r, w))
    try: os.write(w, bytes(1 << 20))
    except BlockingIOError: pass""",
    "descriptors": "held = []\nwhile True: held.append(open('/dev/zero'))",
    "scratch": """
n = 0
while True:
    n += 1
    with open(f'/scratch/{MARK}-{n}', 'wb') as f: f.write(bytes(1_000_000))""",
    "scratch_names": "for n in range(10**9): open(f'/scratch/{MARK}-{n}', 'w').close()",
    "log_long": "while True: os.write(1, b'x' * 1_000_000)",
    "log_holes": "os.ftruncate(1, 1 << 40)\nreturn {'value': 1.0}",
    "prints": "for _ in range(100_000): print('y' * 1000)\nreturn {'value': 1.0}",
    "recursion": """
sys.setrecursionlimit(10**9)
def down(n): return down(n + 1)
return {'value': down(0)}""",
    "timers": "signal.setitimer(signal.ITIMER_REAL, 1e-6, 1e-6)\ntime.sleep(0.05)\nreturn {'value': 1.0}",
}
# They end, at the worst moment.
ENDS = {
    "leaves": "os._exit(0)",
    "segfaults": "ctypes.string_at(0)",
    "aborts": "os.abort()",
    "system_exit": "sys.exit(0)",
    "closes_all": "os.closerange(0, 64)\nreturn {'value': 1.0}",
    "stops_itself": "os.kill(os.getpid(), signal.SIGSTOP)\nreturn {'value': 1.0}",
    "string_that_hangs": """
class Bad(Exception):
    def __str__(self):
        while True: pass
raise Bad()""",
}
# They lie in what they say.
ANSWERS = {
    "nan": "return {'value': float('nan')}",
    "gigabyte": "return {'value': 'x' * 1_000_000_000}",
    "five_megabytes": "return {'value': 'x' * 5_000_000}",
    "many_small": "return {'value': [[]] * 250_000}",
    "deep": "deep = []\nfor _ in range(100_000): deep = [deep]\nreturn {'value': deep}",
    "huge_integer": "return {'value': 10 ** 500_000}",
    "pickle": """
class Evil:
    def __reduce__(self): return os.system, ('touch /tmp/' + MARK,)
return {'value': Evil()}""",
    "json_patched": """
json.dumps = json.loads = lambda *a, **k: 'not JSON'
json.JSONEncoder.encode = lambda self, o: '{"value": 1}, {"value": 2}'
return {'value': 1.0}""",
    "serving_patched": """
frame = sys._getframe()
while frame:
    for name in ('send', '_answer', '_answers'):
        if name in frame.f_globals: frame.f_globals[name] = lambda *a: '{"forged": true}'
    frame = frame.f_back
return {'value': 1.0}""",
    "unsolicited": SOCK + "sock.sendall(3 * (bytes([0, 0, 0, 2]) + b'{}'))\nreturn {'value': 1.0}",
    "drips": SOCK + "while True:\n    sock.sendall(b'\\0'); time.sleep(0.01)",
    "drips_fast": SOCK + "sock.sendall((1_000_000).to_bytes(4, 'big'))\nwhile True: sock.send(b' ')",
    "deep_frame": SOCK + "sock.sendall((900_000).to_bytes(4, 'big') + b'[' * 900_000)\ntime.sleep(60)",
    "integer_frame": SOCK
    + "body = b'{\"tick_us\":' + b'9' * 900_000 + b'}'\n"
    + "sock.sendall(len(body).to_bytes(4, 'big') + body)\ntime.sleep(60)",
    "odd_times": SOCK
    + """
body = json.dumps({'tick_us': 1e308, 'tick_error': None, 'answers': [{'value': {'value': 1}, 'us': -1e308}]}).encode()
sock.sendall(len(body).to_bytes(4, 'big') + body)
time.sleep(60)""",
    "raw_pickle": SOCK
    + "import pickle\nbody = pickle.dumps(os.getcwd)\nsock.sendall(len(body).to_bytes(4, 'big') + body)",
    "descriptors_sent": SOCK + "for _ in range(50):\n    socket.send_fds(sock, [b'x'], [0, 1, 2])\ntime.sleep(60)",
}
# They reach for what is not theirs; `reached` says what they got.
SPIES = {
    "environment": "return reach(('secret', lambda: 'SECRET' in repr(dict(os.environ))))",
    "files": """
def read(path):
    with open(path, 'rb') as f: return f.read(100)
places = [*self.data['secrets'], '/etc/passwd', '/etc/shadow', '/root/.bashrc', '/proc/1/environ', '/proc/self/environ',
          '/sys/kernel/notes', '/dev/kmsg', '/dev/mem', '/dev/sda', '/dev/vda']
found = [p for top in ('/root', '/home', '/etc', '/var', '/run', '/models', '/proc') for p in glob.glob(top + '/*')]
allowed = {'/root/.pyenv', '/etc/localtime'}
return reach(*((p, lambda p=p: read(p)) for p in [*places, *found]),
             ('others', lambda: os.listdir('/models') or False),
             ('escape', lambda: [read('/model/../..' + p) for p in self.data['secrets']]))""",
    "writes": """
def write(folder):
    path = os.path.join(folder, MARK)
    with open(path, 'w') as f: f.write('x')
    return path
tops = ['/', '/model', '/models', '/usr', '/etc', '/root', '/home', '/dev', '/dev/shm', '/var/tmp', '/run', '/base/0',
        os.path.dirname(os.__file__), *self.data['folders']]
return reach(*((p, lambda p=p: write(p)) for p in tops),
             ('own code', lambda: open('/model/main.py', 'a')), ('link', lambda: os.symlink('/', '/model/' + MARK)),
             ('chmod', lambda: os.chmod('/model/main.py', 0o777) or bool(os.stat('/model/main.py').st_mode & 2)),
             ('device', lambda: os.mknod('/scratch/d', 0o20666, 0x101)))""",
    "log": """
import fcntl
before = os.fstat(1)
def changed(way, *args):
    way(1, *args)
    after = os.fstat(1)
    return (before.st_mode, before.st_uid, before.st_mtime) != (after.st_mode, after.st_uid, after.st_mtime)
return reach(('mode', lambda: changed(os.fchmod, 0o6777)), ('owner', lambda: changed(os.fchown, 1, 1)),
             ('times', lambda: changed(os.utime, (0, 0))), ('lease', lambda: fcntl.fcntl(1, fcntl.F_SETLEASE, 1)),
             ('attribute', lambda: os.setxattr(1, 'user.x', b'x')),
             ('flags', lambda: fcntl.ioctl(1, 0x40086602, bytes([0x40, 0, 0, 0, 0, 0, 0, 0]))),
             ('past the cache', lambda: fcntl.fcntl(1, fcntl.F_SETFL, os.O_DIRECT)),
             ('synchronous', lambda: os.pwritev(1, [b'x'], 0, os.RWF_DSYNC)))""",
    "network": """
def tcp(host, port):
    with socket.create_connection((host, port), 0.2) as s: return s.getpeername()
def unix(path, kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_UNIX, kind) as s: s.connect(path); return path
def pair(path):
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return a.sendto(b'x', path)
return reach(('tcp', lambda: tcp('127.0.0.1', self.data['port'])), ('postgres', lambda: tcp('127.0.0.1', 5432)),
             ('world', lambda: tcp('1.1.1.1', 53)), ('name', lambda: socket.gethostbyname('localhost')),
             ('unix', lambda: unix(self.data['unix'])), ('abstract', lambda: unix('\\0hostile-abstract')),
             ('pair', lambda: pair(self.data['unix'])),
             ('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
             ('netlink', lambda: socket.socket(16, socket.SOCK_RAW, 0)), ('vsock', lambda: socket.socket(40, 1, 0)))""",
    "processes": """
def call(number, *args):
    if libc.syscall(number, *args) < 0: raise OSError(ctypes.get_errno(), 'no')
pids = [p for p in (1, 2, 3, os.getppid(), *range(4, 40), *self.data['pids']) if p != os.getpid()]
one = (ctypes.c_long * 2)(1, 1)
ways = []
for p in pids:
    ways += [(f'kill {p}', lambda p=p: os.kill(p, 9)),
             (f'memory {p}', lambda p=p: open(f'/proc/{p}/mem', 'rb').read(1)),
             (f'trace {p}', lambda p=p: call(101, 16, p, 0, 0)), (f'read {p}', lambda p=p: call(310, p, 0, 0, 0, 0, 0)),
             (f'nice {p}', lambda p=p: os.setpriority(os.PRIO_PROCESS, p, 19)),
             (f'limit {p}', lambda p=p: call(302, p, 7, ctypes.byref(one), 0)),
             (f'handle {p}', lambda p=p: os.pidfd_open(p)),
             (f'affinity {p}', lambda p=p: os.sched_setaffinity(p, {0}))]
return reach(*ways, ('all', lambda: os.kill(-1, 9)), ('group', lambda: os.killpg(0, 9)))""",
    "owner_signals": """
import fcntl
r, w = socket.socketpair()
pids = [1, 2, os.getppid(), *self.data['pids']]
return reach(*((p, lambda p=p: fcntl.fcntl(r, fcntl.F_SETOWN, p)) for p in pids))""",
    "wakes_itself": """
import fcntl
def timer():
    told, made = (ctypes.c_int * 16)(0, 0, signal.SIGCONT, 0), ctypes.c_int()
    if libc.syscall(222, 1, told, ctypes.byref(made)) < 0: raise OSError(ctypes.get_errno(), 'no')
folder = os.open('/scratch', os.O_RDONLY)
return reach(('timer', timer), ('as another', lambda: fcntl.fcntl(folder, 10, signal.SIGCONT)),
             ('news', lambda: fcntl.fcntl(folder, fcntl.F_NOTIFY, fcntl.DN_CREATE)),
             ('lease', lambda: fcntl.fcntl(folder, fcntl.F_SETLEASE, fcntl.F_RDLCK)))""",
    "own_socket": """
sock, pair = socket.socket(fileno=os.dup(3)), (ctypes.c_int * 2)()
def family(number):
    if libc.socketpair(number, 1, 0, pair) < 0 and ctypes.get_errno() != errno.EPERM: return 'asked for'
    return False
return reach(('handle', lambda: sock.getsockopt(socket.SOL_SOCKET, 77)),
             ('files', lambda: socket.send_fds(sock, [b'x'], [0])),
             ('option', lambda: sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)),
             ('core scheduling', lambda: libc.prctl(62, 1, 0, 0, 0) == 0 or ctypes.get_errno() != errno.EPERM),
             *((f'family {n}', lambda n=n: family(n)) for n in (2, 10, 16, 17, 29, 30, 38, 40)))""",
    "programs": """
return reach(('sh', lambda: subprocess.run(['/bin/sh', '-c', 'echo x'], check=True)),
             ('system', lambda: os.system('true') == 0 or False), ('exec', lambda: os.execv('/bin/true', ['true'])),
             ('spawn', lambda: os.posix_spawn('/bin/true', ['true'], {})), ('fork', os.fork), ('session', os.setsid),
             ('group', lambda: os.setpgid(0, 0)))""",
    "daemon": """
def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
return reach(('daemon', daemon))""",
    "namespaces": """
def call(name, *args):
    if getattr(libc, name)(*args) < 0: raise OSError(ctypes.get_errno(), 'no')
flags = (0x20000, 0x10000000, 0x20000000, 0x40000000, 0x8000000)
return reach(*((hex(f), lambda f=f: call('unshare', f)) for f in flags),
             ('mount', lambda: call('mount', b'none', b'/tmp', b'tmpfs', 0, None)),
             ('remount', lambda: call('mount', b'none', b'/model', None, 32 | 4096, None)),
             ('umount', lambda: call('umount2', b'/models', 2)), ('chroot', lambda: os.chroot('/tmp')),
             ('root', lambda: os.setuid(0)), ('host', lambda: socket.sethostname(MARK)))""",
    "memory_uncounted": """
import mmap
def gift():
    r, w = os.pipe()
    page = (ctypes.c_char * 4096)()
    parts = (ctypes.c_long * 2)(ctypes.addressof(page), 4096)
    if libc.syscall(278, w, parts, 1, 0) < 0: raise OSError(ctypes.get_errno(), 'no')  # vmsplice: 2 MB for 4 KB
return reach(('shared', lambda: mmap.mmap(-1, 4096)), ('gift', gift),
             ('huge pages', lambda: libc.prctl(41, 0, 0, 0, 0) == 0))""",
    "kernel": """
def call(number, *args):
    if libc.syscall(ctypes.c_long(number), *args) < 0: raise OSError(ctypes.get_errno(), 'no')
numbers = {'io_uring': 425, 'bpf': 321, 'perf': 298, 'keyctl': 250, 'userfaultfd': 323, 'memfd_secret': 447,
           'aio': 206, 'inotify': 294, 'landlock': 444, 'statmount': 457, 'quotactl_fd': 443, 'open_tree_attr': 467,
           'shmget': 29, 'mq_open': 240, 'open_tree': 428, 'fsopen': 430, 'personality': 135, 'x32 getpid': 0x40000027}
def tried(number):
    try: call(number, 0, 0, 0, 0, 0)
    except OSError as e: return e.errno not in (errno.EPERM, errno.ENOSYS)
return reach(*((name, lambda n=n: tried(n)) for name, n in numbers.items()))""",
    "limits": """
import resource as r
def raised(kind, to):
    r.setrlimit(kind, (to, to))
kinds = ('RLIMIT_AS', 'RLIMIT_NOFILE', 'RLIMIT_FSIZE', 'RLIMIT_CPU')
return reach(*((k, lambda k=k: raised(getattr(r, k), 1 << 40)) for k in kinds),
             ('die', lambda: libc.prctl(1, 0, 0, 0, 0) == 0 or False),
             ('dump', lambda: libc.prctl(4, 1, 0, 0, 0) == 0 or False),
             ('nice', lambda: os.nice(-10)), ('core', lambda: r.setrlimit(r.RLIMIT_CORE, (1 << 30, 1 << 30))))""",
}
WHOLE = {
    "import_hangs": HEAD.replace("class Model", "time.sleep(60)\nclass Model") + "        return {'value': 1.0}\n",
    "import_leaves": "import os; os._exit(0)\n",
    "import_floods": HEAD.replace("class Model", "print('z' * 30_000_000)\nclass Model")
    + "        return {'value': 1.0}\n",
    "spins_at_rest": HEAD.replace(
        "class Model", "threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()\nclass Model"
    )
    + "        return {'value': 1.0}\n",
}
BY_LINES = {**HOGS, **ENDS, **ANSWERS, **SPIES}
MODELS = {name: model(lines) for name, lines in BY_LINES.items()} | WHOLE
