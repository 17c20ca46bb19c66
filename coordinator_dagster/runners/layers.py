"""The layers that a model is confined by, and what to do about each that is missing.

Apart from what confines them: the settings name the layers, also where no model is confined.
"""

LAYERS = {
    "bubblewrap": "install bubblewrap (`apt-get install bubblewrap`) and allow user namespaces",
    "user": "run the coordinator as root, or install bubblewrap",
    "limits": "run on Linux",
    "landlock": "run on Linux 5.13 or later, with landlock among the kernel's security modules",
    "seccomp": "run on Linux, on x86-64 or aarch64",
}
