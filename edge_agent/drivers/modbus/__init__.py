"""Modbus: registers of plant meters and inverters, over TCP and over serial lines. Not other protocols."""
