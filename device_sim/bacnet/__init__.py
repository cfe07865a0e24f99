"""Simulated BACnet/IP devices: objects, services and the wire below them."""
