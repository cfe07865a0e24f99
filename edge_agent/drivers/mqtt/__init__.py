"""Devices that publish by themselves over MQTT. Not the agent's own session with its aggregator (`wire.mqtt`)."""
