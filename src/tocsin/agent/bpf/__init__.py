"""Programs started, ended and connected, told by our own eBPF programs instead of the kernel's audit."""
