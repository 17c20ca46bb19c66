"""Whether a port can be listened on."""

import socket


def port_is_free(host: str, port: int) -> bool:
    """True when a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def port_faults(host: str, port: int) -> list[str]:
    """What keeps a command from listening there."""
    if port_is_free(host, port):
        return []
    return [f"--port={port}: something listens on {host}:{port} already; stop it or choose another port"]
