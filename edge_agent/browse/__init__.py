"""What a bus has to offer to somebody who writes its edge file: devices, objects, variables, addresses. Only reads."""
