"""Simulated Modbus devices over TCP and RTU, SunSpec among them: what they show and how they answer."""
